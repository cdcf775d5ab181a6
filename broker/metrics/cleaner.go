package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Cleaner is what compaction did and does.
type Cleaner struct {
	SinceLook   time.Duration // since it last looked for a log to compact
	DirtyRatio  float64       // of the dirtiest log at that time, 0 to 1
	Overdue     time.Duration // the most by which a log had exceeded max.compaction.lag.ms then
	Passes      int64
	Failures    int64
	BytesRead   int64 // by all passes
	BytesKept   int64
	RecordsRead int64
	RecordsKept int64
	LastTook    time.Duration // the longest of the threads' last passes
	LastKeys    float64       // the most of its memory for keys that one of these filled, 0 to 1
	LastRecopy  float64       // the most that one of these wrote of what it read
	Folders     []CleanerFolder
	Logs        []CleanerLog
}

// CleanerFolder is what of a folder cannot be compacted.
type CleanerFolder struct {
	Path             string
	Uncleanable      int   // partitions
	UncleanableBytes int64 // that should be compacted
}

// CleanerLog is how far the log of a partition is compacted.
type CleanerLog struct {
	Topic      string
	Partition  int32
	FirstDirty int64   // offset
	DirtyBytes int64   // that can be compacted now
	Progress   float64 // of the pass that runs, 0 to 1; negative where none does
}

// Klamm's own names.
var (
	compactPasses      = desc("klamm_compaction_passes_total", "Passes over a compacted log that came to their end.")
	compactFailures    = desc("klamm_compaction_failures_total", "Passes over a compacted log that failed.")
	compactRead        = desc("klamm_compaction_read_bytes_total", "Bytes of record batches that compaction looked through.")
	compactKept        = desc("klamm_compaction_written_bytes_total", "Bytes of record batches that compaction wrote.")
	compactRecordsRead = desc("klamm_compaction_read_records_total", "Records that compaction looked at.")
	compactRecordsKept = desc("klamm_compaction_kept_records_total", "Records that compaction kept of those.")
	compactFirstDirty  = desc("klamm_compaction_first_dirty_offset", "First offset of a compacted log that no pass has taken in.", "topic", "partition")
	compactDirty       = desc("klamm_compaction_dirty_bytes", "Bytes of a compacted log that no pass has taken in and one may.", "topic", "partition")
	compactProgress    = desc("klamm_compaction_progress_ratio", "How much of the pass over a log that runs now is done.", "topic", "partition")
)

// The JMX exporter's names.
var (
	cleanerRecopy       = desc("kafka_log_logcleaner_cleaner_recopy_percent", "How much of what the last passes read they wrote, percent.")
	cleanerBuffer       = desc("kafka_log_logcleaner_max_buffer_utilization_percent", "The most of its memory for keys that a last pass filled, percent.")
	cleanerTime         = desc("kafka_log_logcleaner_max_clean_time_secs", "The longest of the last passes, seconds.")
	cleanerDelay        = desc("kafka_log_logcleaner_max_compaction_delay_secs", "The most by which a log exceeds max.compaction.lag.ms, seconds.")
	cleanerDead         = desc("kafka_log_logcleaner_deadthreadcount", "Threads of the log cleaner that died: always 0 here.")
	cleanerDirty        = desc("kafka_log_logcleanermanager_max_dirty_percent", "How much of the dirtiest log is dirty, percent.")
	cleanerSince        = desc("kafka_log_logcleanermanager_time_since_last_run_ms", "Milliseconds since the log cleaner looked for work.")
	cleanerUncleanable  = desc("kafka_log_logcleanermanager_uncleanable_partitions_count", "Partitions of a folder that cannot be compacted.", "logDirectory")
	cleanerUncleanBytes = desc("kafka_log_logcleanermanager_uncleanable_bytes", "Bytes of those that should be compacted.", "logDirectory")
)

func (s sender) counter(d *prometheus.Desc, v int64) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
}

func (s sender) cleaner(c Cleaner) {
	s.counter(compactPasses, c.Passes)
	s.counter(compactFailures, c.Failures)
	s.counter(compactRead, c.BytesRead)
	s.counter(compactKept, c.BytesKept)
	s.counter(compactRecordsRead, c.RecordsRead)
	s.counter(compactRecordsKept, c.RecordsKept)
	s.gauge(cleanerRecopy, percent(c.LastRecopy))
	s.gauge(cleanerBuffer, percent(c.LastKeys))
	s.gauge(cleanerTime, float64(int(c.LastTook.Seconds())))
	s.gauge(cleanerDelay, float64(int(c.Overdue.Seconds())))
	s.gauge(cleanerDead, 0)
	s.gauge(cleanerDirty, percent(c.DirtyRatio))
	s.gauge(cleanerSince, float64(c.SinceLook.Milliseconds()))
	for _, f := range c.Folders {
		s.gauge(cleanerUncleanable, float64(f.Uncleanable), f.Path)
		s.gauge(cleanerUncleanBytes, float64(f.UncleanableBytes), f.Path)
	}
	for _, l := range c.Logs {
		s.cleanerLog(l)
	}
}

func (s sender) cleanerLog(l CleanerLog) {
	partition := strconv.Itoa(int(l.Partition))
	s.gauge(compactFirstDirty, float64(l.FirstDirty), l.Topic, partition)
	s.gauge(compactDirty, float64(l.DirtyBytes), l.Topic, partition)
	if l.Progress >= 0 {
		s.gauge(compactProgress, l.Progress, l.Topic, partition)
	}
}

// percent is a whole number, as Kafka's are.
func percent(ratio float64) float64 { return float64(int(100 * ratio)) }
