package log

import (
	"time"

	"github.com/klamm-io/klamm/protocol/compress"
)

// ProducerCompression keeps each batch in the codec its producer chose
// (compression.type=producer).
const ProducerCompression = compress.Codec(-1)

// Config is how one log behaves. It can be changed while the log is open.
type Config struct {
	SegmentBytes       int           // segment.bytes
	SegmentAge         time.Duration // segment.ms
	SegmentJitter      time.Duration // segment.jitter.ms
	SegmentIndexBytes  int           // segment.index.bytes
	IndexIntervalBytes int           // index.interval.bytes

	Delete          bool          // cleanup.policy has delete
	Compact         bool          // cleanup.policy has compact: records need keys, and the last of each stays
	RetentionMs     int64         // retention.ms, negative for ever
	RetentionBytes  int64         // retention.bytes, negative without limit
	FileDeleteDelay time.Duration // file.delete.delay.ms

	DeleteRetention  time.Duration // delete.retention.ms
	MinCompactionLag time.Duration // min.compaction.lag.ms
	MaxCompactionLag time.Duration // max.compaction.lag.ms
	MinDirtyRatio    float64       // min.cleanable.dirty.ratio, 0 to 1

	MaxMessageBytes      int            // max.message.bytes, of a batch
	Compression          compress.Codec // compression.type
	CompressionLevel     int            // 0 is the codec's default
	LogAppendTime        bool           // message.timestamp.type
	TimestampBeforeMaxMs int64          // message.timestamp.before.max.ms
	TimestampAfterMaxMs  int64          // message.timestamp.after.max.ms

	// FlushOnAck counts a record as committed only when it is on the disk. When
	// false it counts once it is written, and is flushed by FlushMessages and
	// FlushInterval, as Kafka's records are.
	FlushOnAck    bool
	FlushMessages int64         // flush.messages
	FlushInterval time.Duration // flush.ms
}

// segmentAge is how old a segment becomes: one that is to be compacted by a
// certain time must have ended by then.
func (c *Config) segmentAge() time.Duration {
	if c.Compact && c.MaxCompactionLag > 0 {
		return min(c.SegmentAge, c.MaxCompactionLag)
	}
	return c.SegmentAge
}
