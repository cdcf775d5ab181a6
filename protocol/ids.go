package protocol

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strconv"
)

// TopicID is a topic's UUID (KIP-516). The zero value means "no id".
type TopicID [16]byte

// String returns Kafka's form: 22 characters of URL-safe base64.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// IsZero reports whether id names no topic.
func (id TopicID) IsZero() bool { return id == TopicID{} }

// reservedTopicID is Kafka's UUID for the topic __cluster_metadata.
var reservedTopicID = TopicID{15: 1}

// NewTopicID returns a random version 4 UUID that Kafka's tools can print:
// never a reserved one, and never one whose text starts with a dash.
func NewTopicID() TopicID {
	for {
		var id TopicID
		rand.Read(id[:])
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if !id.IsZero() && id != reservedTopicID && id.String()[0] != '-' {
			return id
		}
	}
}

// ParseTopicID reads the form that [TopicID.String] writes.
func ParseTopicID(s string) (TopicID, error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) != len(TopicID{}) {
		return TopicID{}, fmt.Errorf("topic id %q: want 22 characters of URL-safe base64", s)
	}
	return TopicID(raw), nil
}

// TopicPartition names one partition of a topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String returns the name that the partition's folder bears: "topic-0".
func (tp TopicPartition) String() string {
	return tp.Topic + "-" + strconv.Itoa(int(tp.Partition))
}
