package config

import "math"

const maxLong = "9223372036854775807"

// topicKeys are the keys of a topic, sorted by name.
var topicKeys = []key{
	{name: "cleanup.policy", kind: List, standard: "delete", valid: listOf("compact", "delete"), broker: "log.cleanup.policy",
		doc: "What happens to old segments: delete them by time and size, compact them to the last record of each key, or both."},
	{name: "compression.gzip.level", kind: Int, standard: "-1", valid: gzipLevel, broker: "compression.gzip.level",
		doc: "The level at which the broker compresses with gzip; -1 is the codec's own choice."},
	{name: "compression.lz4.level", kind: Int, standard: "9", valid: between(1, 17), broker: "compression.lz4.level",
		doc: "The level at which the broker compresses with lz4."},
	{name: "compression.type", kind: String, standard: "producer", valid: oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"), broker: "compression.type",
		doc: "The codec in which batches are kept; producer keeps each in the codec that it came in."},
	{name: "compression.zstd.level", kind: Int, standard: "3", valid: between(-131072, 22), broker: "compression.zstd.level",
		doc: "The level at which the broker compresses with zstd."},
	{name: "delete.retention.ms", kind: Long, standard: "86400000", valid: atLeast(0), broker: "log.cleaner.delete.retention.ms",
		doc: "How long a compacted topic keeps the records that say a key is deleted."},
	{name: "file.delete.delay.ms", kind: Long, standard: "60000", valid: atLeast(0), broker: "log.segment.delete.delay.ms",
		doc: "How long the files of a deleted segment or partition stay on the disk."},
	{name: "flush.messages", kind: Long, standard: maxLong, valid: atLeast(1), broker: "log.flush.interval.messages",
		doc: "Set, an acknowledgement does not wait for the disk, and this many records are flushed together."},
	{name: "flush.ms", kind: Long, standard: maxLong, valid: atLeast(0), broker: "log.flush.interval.ms",
		doc: "Set, an acknowledgement does not wait for the disk, and records are flushed at this interval."},
	{name: "index.interval.bytes", kind: Int, standard: "4096", valid: atLeast(0), broker: "log.index.interval.bytes",
		doc: "About how many bytes of records lie between two entries of the offset index."},
	{name: "max.compaction.lag.ms", kind: Long, standard: maxLong, valid: atLeast(1), broker: "log.cleaner.max.compaction.lag.ms",
		doc: "How long a record of a compacted topic may stay uncompacted."},
	{name: "max.message.bytes", kind: Int, standard: "1048588", valid: atLeast(0), broker: "message.max.bytes",
		doc: "The largest batch that is taken, compressed as it is kept."},
	{name: "message.timestamp.after.max.ms", kind: Long, standard: "3600000", valid: atLeast(0), broker: "log.message.timestamp.after.max.ms",
		doc: "How far a record's timestamp may be ahead of the broker's clock."},
	{name: "message.timestamp.before.max.ms", kind: Long, standard: maxLong, valid: atLeast(0), broker: "log.message.timestamp.before.max.ms",
		doc: "How far a record's timestamp may be behind the broker's clock."},
	{name: "message.timestamp.type", kind: String, standard: "CreateTime", valid: oneOf("CreateTime", "LogAppendTime"), broker: "log.message.timestamp.type",
		doc: "Whether a record bears the time that its producer gave it, or that of its append."},
	{name: "min.cleanable.dirty.ratio", kind: Double, standard: "0.5", valid: ratio, broker: "log.cleaner.min.cleanable.ratio",
		doc: "How much of a compacted log may be uncompacted before it is compacted again."},
	{name: "min.compaction.lag.ms", kind: Long, standard: "0", valid: atLeast(0), broker: "log.cleaner.min.compaction.lag.ms",
		doc: "How long a record of a compacted topic stays as it is at least."},
	{name: "min.insync.replicas", kind: Int, standard: "1", valid: atLeast(1), broker: "min.insync.replicas",
		doc: "How many replicas must have a record before a producer with acks=all is answered."},
	{name: "preallocate", kind: Boolean, standard: "false", broker: "log.preallocate",
		doc: "Whether room for a whole segment is reserved when it is begun."},
	{name: "retention.bytes", kind: Long, standard: "-1", valid: atLeast(-1), broker: "log.retention.bytes",
		doc: "How many bytes of a partition are kept; -1 is without limit."},
	{name: "retention.ms", kind: Long, standard: "604800000", valid: atLeast(-1), broker: "log.retention.ms",
		doc: "How long records are kept; -1 is for ever."},
	{name: "segment.bytes", kind: Int, standard: "1073741824", valid: between(1<<20, math.MaxInt32), broker: "log.segment.bytes",
		doc: "The size at which a new segment is begun."},
	{name: "segment.index.bytes", kind: Int, standard: "10485760", valid: atLeast(4), broker: "log.index.size.max.bytes",
		doc: "The size of an index at which a new segment is begun."},
	{name: "segment.jitter.ms", kind: Long, standard: "0", valid: atLeast(0), broker: "log.roll.jitter.ms",
		doc: "By how much segment.ms is shortened at random, so that not all segments end at once."},
	{name: "segment.ms", kind: Long, standard: "604800000", valid: atLeast(1), broker: "log.roll.ms",
		doc: "The age at which a new segment is begun."},
	{name: "unclean.leader.election.enable", kind: Boolean, standard: "false", broker: "unclean.leader.election.enable",
		doc: "Whether a replica that lacks records may lead when no other is left."},
}

// inertTopicKeys are keys of Kafka's topics that may be set and change nothing
// here: what they are about is not there, or needs no setting.
var inertTopicKeys = []key{
	{name: "follower.replication.throttled.replicas", kind: List},
	{name: "leader.replication.throttled.replicas", kind: List},
	{name: "local.retention.bytes", kind: Long, standard: "-2", valid: atLeast(-2)},
	{name: "local.retention.ms", kind: Long, standard: "-2", valid: atLeast(-2)},
	{name: "remote.log.copy.disable", kind: Boolean, standard: "false"},
	{name: "remote.log.delete.on.disable", kind: Boolean, standard: "false"},
	{name: "remote.storage.enable", kind: Boolean, standard: "false", valid: oneOf("false")},
}

var topicKeyByName = byName(topicKeys, inertTopicKeys)

func byName(lists ...[]key) map[string]*key {
	m := map[string]*key{}
	for _, list := range lists {
		for i := range list {
			m[list[i].name] = &list[i]
		}
	}
	return m
}

// IsList reports whether a key's value is a list, to which can be added.
func IsList(name string) bool {
	k := topicKeyByName[name]
	if k == nil {
		k = brokerKeyByName[name]
	}
	return k != nil && k.kind == List
}
