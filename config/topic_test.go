package config

import (
	"errors"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol/compress"
)

func resolve(t *testing.T, b *Broker, everyBroker, overrides map[string]string) *Topic {
	t.Helper()
	topic, err := b.Topic(everyBroker, overrides)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func TestTopicDefaults(t *testing.T) {
	got := *resolve(t, load(t), nil, nil)
	want := Topic{
		SegmentBytes: 1 << 30, SegmentAge: 7 * 24 * time.Hour, SegmentIndexBytes: 10 << 20, IndexIntervalBytes: 4096, FileDeleteDelay: time.Minute,
		Delete: true, RetentionMs: 604800000, RetentionBytes: -1,
		MaxMessageBytes: 1048588, KeepCodec: true, TimestampBeforeMaxMs: math.MaxInt64, TimestampAfterMaxMs: 3600000,
		FlushOnAck: true, FlushMessages: math.MaxInt64, FlushInterval: forever, MinInsyncReplicas: 1,
		DeleteRetention: 24 * time.Hour, MaxCompactionLag: forever, MinCleanableDirtyRatio: 0.5,
	}
	if got != want {
		t.Errorf("have %+v\nwant %+v", got, want)
	}
}

// forever is the longest time that is a whole number of milliseconds.
const forever = time.Duration(math.MaxInt64 / int64(time.Millisecond) * int64(time.Millisecond))

// A topic's own value goes before what was set for its broker, that before what was
// set for all, that before what the broker was started with, that before the default.
func TestWhereTopicsGetTheirValues(t *testing.T) {
	b := load(t, "message.max.bytes=2000")
	every, this, own := map[string]string{"message.max.bytes": "3000"}, map[string]string{"message.max.bytes": "3500"}, map[string]string{"max.message.bytes": "4000"}
	for _, c := range []struct {
		every, this, own map[string]string
		want             int
		source           Source
	}{
		{nil, nil, nil, 2000, StaticBrokerConfig}, {every, nil, nil, 3000, DynamicDefaultBrokerConfig}, {every, this, nil, 3500, DynamicBrokerConfig},
		{nil, nil, own, 4000, TopicConfig}, {every, this, own, 4000, TopicConfig},
	} {
		dynamic := c.every
		if c.this != nil {
			dynamic = c.this
		}
		if got := resolve(t, b, dynamic, c.own).MaxMessageBytes; got != c.want {
			t.Errorf("for all %v, for this %v, own %v: %d, want %d", c.every, c.this, c.own, got, c.want)
		}
		for _, e := range b.DescribeTopic(c.every, c.this, c.own) {
			if e.Name == "max.message.bytes" && (e.Source != c.source || e.Value != strconv.Itoa(c.want)) {
				t.Errorf("for all %v, for this %v, own %v: %s from %d, want %d from %d", c.every, c.this, c.own, e.Value, e.Source, c.want, c.source)
			}
		}
	}
}

func TestTimesOfSeveralNames(t *testing.T) {
	retention := func(t *Topic) int64 { return t.RetentionMs }
	age := func(t *Topic) int64 { return t.SegmentAge.Milliseconds() }
	jitter := func(t *Topic) int64 { return t.SegmentJitter.Milliseconds() }
	flush := func(t *Topic) int64 { return t.FlushInterval.Milliseconds() }
	for _, c := range []struct {
		of    func(*Topic) int64
		sets  []string
		every map[string]string
		want  int64
	}{
		{retention, []string{"log.retention.hours=2"}, nil, 7_200_000},
		{retention, []string{"log.retention.hours=2", "log.retention.minutes=3"}, nil, 180_000},
		{retention, []string{"log.retention.hours=2", "log.retention.minutes=3", "log.retention.ms=4"}, nil, 4},
		{retention, []string{"log.retention.hours=-1"}, nil, -1},
		{retention, []string{"log.retention.ms=-7"}, nil, -1},
		{retention, []string{"log.retention.minutes=3"}, map[string]string{"log.retention.ms": "5"}, 5},
		{retention, []string{"log.retention.hours=2147483647"}, nil, 2147483647 * 3_600_000},
		{age, []string{"log.roll.hours=2"}, nil, 7_200_000},
		{age, []string{"log.roll.hours=2", "log.roll.ms=9"}, nil, 9},
		{jitter, []string{"log.roll.jitter.hours=2"}, nil, 7_200_000},
		{jitter, []string{"log.roll.jitter.hours=2", "log.roll.jitter.ms=0"}, nil, 0},
		{flush, []string{"log.flush.scheduler.interval.ms=11"}, nil, 11},
		{flush, []string{"log.flush.scheduler.interval.ms=11", "log.flush.interval.ms=12"}, nil, 12},
	} {
		if got := c.of(resolve(t, load(t, c.sets...), c.every, nil)); got != c.want {
			t.Errorf("%v and %v: %d, want %d", c.sets, c.every, got, c.want)
		}
	}
}

func TestFlushOnAck(t *testing.T) {
	for _, c := range []struct {
		sets       []string
		every, own map[string]string
		want       bool
	}{
		{nil, nil, nil, true},
		{[]string{"klamm.flush.policy=ack"}, nil, nil, true},
		{[]string{"klamm.flush.policy=interval"}, nil, nil, false},
		{[]string{"log.flush.interval.messages=10"}, nil, nil, false},
		{[]string{"log.flush.interval.ms=10"}, nil, nil, false},
		{[]string{"log.flush.scheduler.interval.ms=10"}, nil, nil, true},
		{nil, map[string]string{"log.flush.interval.ms": "10"}, nil, false},
		{nil, nil, map[string]string{"flush.ms": "10"}, false},
		{nil, nil, map[string]string{"flush.messages": "9223372036854775807"}, false},
		{nil, nil, map[string]string{"retention.ms": "10"}, true},
	} {
		if got := resolve(t, load(t, c.sets...), c.every, c.own).FlushOnAck; got != c.want {
			t.Errorf("%v, %v, %v: %v", c.sets, c.every, c.own, got)
		}
	}
}

func TestCompression(t *testing.T) {
	for _, c := range []struct {
		own   map[string]string
		keep  bool
		codec compress.Codec
		level int
	}{
		{nil, true, compress.None, 0},
		{map[string]string{"compression.type": "uncompressed"}, false, compress.None, 0},
		{map[string]string{"compression.type": "gzip"}, false, compress.Gzip, -1},
		{map[string]string{"compression.type": "gzip", "compression.gzip.level": "6"}, false, compress.Gzip, 6},
		{map[string]string{"compression.type": "gzip", "compression.gzip.level": "9"}, false, compress.Gzip, 9},
		{map[string]string{"compression.type": "snappy", "compression.gzip.level": "9"}, false, compress.Snappy, 0},
		{map[string]string{"compression.type": "lz4"}, false, compress.LZ4, 9},
		{map[string]string{"compression.type": "zstd"}, false, compress.Zstd, 3},
		{map[string]string{"compression.type": "lz4", "compression.lz4.level": "17"}, false, compress.LZ4, 17},
		{map[string]string{"compression.type": "zstd", "compression.zstd.level": "-5"}, false, compress.Zstd, -5},
		{map[string]string{"compression.zstd.level": "7"}, true, compress.None, 0},
	} {
		topic := resolve(t, load(t), nil, c.own)
		if topic.KeepCodec != c.keep || topic.Codec != c.codec || topic.CompressionLevel != c.level {
			t.Errorf("%v: keep %v, %v at level %d", c.own, topic.KeepCodec, topic.Codec, topic.CompressionLevel)
		}
	}
}

// Every level that a topic may have is one that the codec takes.
func TestLevelsAreTheCodecs(t *testing.T) {
	for codec, key := range map[compress.Codec]string{compress.Gzip: "compression.gzip.level", compress.LZ4: "compression.lz4.level", compress.Zstd: "compression.zstd.level"} {
		lowest, highest, standard := codec.Levels()
		if topicKeyByName[key].standard != strconv.Itoa(standard) && codec != compress.Gzip {
			t.Errorf("%s is %s by default, the codec's is %d", key, topicKeyByName[key].standard, standard)
		}
		for level, want := range map[int]bool{lowest: true, highest: true, lowest - 1: false, highest + 1: false} {
			if err := ValidateTopic(map[string]string{key: strconv.Itoa(level)}); (err == nil) != want {
				t.Errorf("%s=%d: %v", key, level, err)
			}
		}
		if _, err := compress.Compress(nil, codec, resolve(t, load(t), nil, map[string]string{"compression.type": codec.String()}).CompressionLevel, []byte("x")); err != nil {
			t.Errorf("compress with %v as it is by default: %v", codec, err)
		}
	}
}

func TestTopicSettings(t *testing.T) {
	got := *resolve(t, load(t), nil, map[string]string{
		"cleanup.policy": "compact, delete", "message.timestamp.type": "LogAppendTime", "preallocate": "TRUE", "unclean.leader.election.enable": "true",
		"min.cleanable.dirty.ratio": ".25", "min.compaction.lag.ms": "5", "max.compaction.lag.ms": "6", "delete.retention.ms": "7", "min.insync.replicas": "2",
	})
	switch {
	case !got.Delete, !got.Compact, !got.LogAppendTime, !got.Preallocate, !got.UncleanLeaderElection, got.MinCleanableDirtyRatio != 0.25:
	case got.MinCompactionLag != 5*time.Millisecond, got.MaxCompactionLag != 6*time.Millisecond, got.DeleteRetention != 7*time.Millisecond, got.MinInsyncReplicas != 2:
	default:
		return
	}
	t.Errorf("have %+v", got)
}

// What stands in the cluster's metadata from another version must not make a
// topic out of zeros.
func TestTopicOfWrongValues(t *testing.T) {
	for _, own := range []map[string]string{{"retention.ms": "soon"}, {"segment.bytes": "1"}, {"compression.type": "zip"}, {"min.cleanable.dirty.ratio": "x"}} {
		if _, err := load(t).Topic(nil, own); !errors.Is(err, kerr.InvalidConfig) {
			t.Errorf("%v: error %v, want INVALID_CONFIG", own, err)
		}
	}
	if _, err := load(t).Topic(map[string]string{"message.max.bytes": "x"}, nil); !errors.Is(err, kerr.InvalidConfig) {
		t.Errorf("error %v, want INVALID_CONFIG", err)
	}
}
