package group

import (
	"encoding/binary"
	"unicode/utf16"

	"github.com/klamm-io/klamm/internal/xxh3"
)

// hashOf says by one number what the topics look like that a group reads: their
// ids, partitions and racks. It is Kafka's, so that a log that Kafka wrote does
// not look as if all topics had changed. Topics that do not exist do not count.
func (c *Coordinator) hashOf(topics []string) int64 {
	var all []byte
	for _, name := range topics {
		if hash, found := c.topicHash(name); found {
			all = binary.LittleEndian.AppendUint64(all, hash)
		}
	}
	if all == nil {
		return 0
	}
	return int64(xxh3.Sum64(all))
}

func (c *Coordinator) topicHash(name string) (hash uint64, found bool) {
	if hash, found = c.topicHashes[name]; found {
		return hash, true
	}
	t, found := c.cluster.Topic(name)
	if !found {
		return 0, false
	}
	hash = xxh3.Sum64(describeTopic(c.cluster, t))
	c.topicHashes[name] = hash
	return hash, true
}

// describeTopic is what is hashed of a topic. The first byte says in which form it
// is.
func describeTopic(cluster Cluster, t Topic) []byte {
	b := []byte{0}
	b = binary.LittleEndian.AppendUint64(b, binary.BigEndian.Uint64(t.ID[:8]))
	b = binary.LittleEndian.AppendUint64(b, binary.BigEndian.Uint64(t.ID[8:]))
	b = appendHashedString(b, t.Name)
	b = binary.LittleEndian.AppendUint32(b, uint32(t.Partitions))
	for p := range t.Partitions {
		b = binary.LittleEndian.AppendUint32(b, uint32(p))
		for _, rack := range cluster.Racks(t.Name, p) {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(utf16.Encode([]rune(rack)))))
			b = appendHashedString(b, rack)
		}
	}
	return b
}

// appendHashedString appends a string as Java counts it, in UTF-16, with its
// length at the end.
func appendHashedString(b []byte, s string) []byte {
	units := utf16.Encode([]rune(s))
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return binary.LittleEndian.AppendUint32(b, uint32(len(units)))
}
