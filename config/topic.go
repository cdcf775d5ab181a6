package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol/compress"
)

// Topic is how one topic is set.
type Topic struct {
	SegmentBytes       int
	SegmentAge         time.Duration // segment.ms
	SegmentJitter      time.Duration
	SegmentIndexBytes  int
	IndexIntervalBytes int
	FileDeleteDelay    time.Duration

	Delete, Compact bool // cleanup.policy
	RetentionMs     int64
	RetentionBytes  int64

	MaxMessageBytes      int
	KeepCodec            bool           // compression.type=producer
	Codec                compress.Codec // else this one
	CompressionLevel     int            // as compress.Compress takes it
	LogAppendTime        bool
	TimestampBeforeMaxMs int64
	TimestampAfterMaxMs  int64

	FlushOnAck        bool // an acknowledged record is on the disk
	FlushMessages     int64
	FlushInterval     time.Duration
	MinInsyncReplicas int

	DeleteRetention        time.Duration // of records that say a key is deleted
	MinCompactionLag       time.Duration
	MaxCompactionLag       time.Duration
	MinCleanableDirtyRatio float64 // 0 to 1

	Preallocate           bool
	UncleanLeaderElection bool

	// *.replication.throttled.replicas, as [ParseThrottled] takes them.
	LeaderThrottled, FollowerThrottled string
}

// Topic resolves a topic's configuration: what is set for it, else what was set
// at run time for all brokers (for one that has values of its own, with those
// over them), else what this broker was started with, else the default. An error
// wraps INVALID_CONFIG.
func (b *Broker) Topic(everyBroker, overrides map[string]string) (*Topic, error) {
	r := resolver{broker: b, everyBroker: everyBroker, overrides: overrides}
	t := &Topic{
		SegmentBytes:         int(r.int("segment.bytes")),
		SegmentAge:           milliseconds(r.int("segment.ms")),
		SegmentJitter:        milliseconds(r.int("segment.jitter.ms")),
		SegmentIndexBytes:    int(r.int("segment.index.bytes")),
		IndexIntervalBytes:   int(r.int("index.interval.bytes")),
		FileDeleteDelay:      milliseconds(r.int("file.delete.delay.ms")),
		RetentionMs:          r.int("retention.ms"),
		RetentionBytes:       r.int("retention.bytes"),
		MaxMessageBytes:      int(r.int("max.message.bytes")),
		LogAppendTime:        r.value("message.timestamp.type") == "LogAppendTime",
		TimestampBeforeMaxMs: r.int("message.timestamp.before.max.ms"),
		TimestampAfterMaxMs:  r.int("message.timestamp.after.max.ms"),
		FlushOnAck:           b.flushPolicy != "interval" && !r.isSet("flush.messages") && !r.isSet("flush.ms"),
		FlushMessages:        r.int("flush.messages"),
		FlushInterval:        milliseconds(r.int("flush.ms")),
		MinInsyncReplicas:    int(r.int("min.insync.replicas")),

		Preallocate:           r.bool("preallocate"),
		UncleanLeaderElection: r.bool("unclean.leader.election.enable"),
	}
	t.LeaderThrottled, t.FollowerThrottled = r.value("leader.replication.throttled.replicas"), r.value("follower.replication.throttled.replicas")
	policy := splitList(r.value("cleanup.policy"))
	t.Delete, t.Compact = slices.Contains(policy, "delete"), slices.Contains(policy, "compact")
	r.fillCompaction(t)
	r.fillCompression(t)
	return t, r.err
}

func (r *resolver) fillCompaction(t *Topic) {
	t.DeleteRetention = milliseconds(r.int("delete.retention.ms"))
	t.MinCompactionLag = milliseconds(r.int("min.compaction.lag.ms"))
	t.MaxCompactionLag = milliseconds(r.int("max.compaction.lag.ms"))
	ratio, err := strconv.ParseFloat(r.value("min.cleanable.dirty.ratio"), 64)
	r.note(err)
	t.MinCleanableDirtyRatio = ratio
}

// fillCompression reads the codec and its level.
func (r *resolver) fillCompression(t *Topic) {
	switch name := r.value("compression.type"); name {
	case "producer":
		t.KeepCodec = true
	case "uncompressed":
		t.Codec = compress.None
	default:
		codec, err := compress.Parse(name)
		r.note(err)
		t.Codec = codec
		if key := "compression." + name + ".level"; topicKeyByName[key] != nil {
			t.CompressionLevel = int(r.int(key))
		}
	}
}

// resolver looks up a topic's values. Its first error sticks.
type resolver struct {
	broker      *Broker
	everyBroker map[string]string
	overrides   map[string]string
	err         error
}

func (r *resolver) note(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *resolver) value(name string) string {
	k := topicKeyByName[name]
	value := r.broker.topicValue(k, r.everyBroker, r.overrides)
	if err := k.check(value); err != nil {
		r.note(fmt.Errorf("%w: %w", err, kerr.InvalidConfig))
	}
	return value
}

func (r *resolver) int(name string) int64 {
	n, err := strconv.ParseInt(r.value(name), 10, 64)
	r.note(err)
	return n
}

func (r *resolver) bool(name string) bool { return strings.EqualFold(r.value(name), "true") }

func (r *resolver) isSet(name string) bool {
	chain := r.broker.topicChain(topicKeyByName[name], r.everyBroker, nil, r.overrides)
	return len(chain) > 0 && chain[0].Source != DefaultConfig
}
