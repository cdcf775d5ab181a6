package group

import (
	"iter"
	"strconv"
	"time"

	"github.com/klamm-io/klamm/protocol"
)

// Cluster is what consumer groups need to know of the cluster, at one moment. It
// does not change.
type Cluster interface {
	// Topic returns the topic of that name.
	Topic(name string) (Topic, bool)
	// TopicByID returns the topic of that id.
	TopicByID(id protocol.TopicID) (Topic, bool)
	// TopicNames yields all topics' names.
	TopicNames() iter.Seq[string]
	// Racks lists the racks of a partition's replicas, sorted.
	Racks(topic string, partition int) []string
	// Version grows with every change.
	Version() int64
	// GroupConfig is what is set for a group, by key; nil for nothing.
	GroupConfig(group string) map[string]string
}

// Topic is a topic as assignors see it.
type Topic struct {
	Name       string
	ID         protocol.TopicID
	Partitions int
}

// topicsSeen counts changes of the cluster, so that a group knows whether it has
// looked since. Zero is before the first look.
type topicsSeen struct{ any, names int }

// ClusterChanged tells the groups what the cluster is now. Topics lists those that
// came, went, or have other partitions; names says that one came or went. Groups
// take it in when a member is next heard of.
func (c *Coordinator) ClusterChanged(now Cluster, topics []string, names bool) {
	c.cluster = now
	for _, name := range topics {
		delete(c.topicHashes, name)
	}
	if len(topics) > 0 {
		c.seen.any++
	}
	if names {
		c.seen.names++
	}
}

// Consumer is what consumer groups (KIP-848) are held to.
type Consumer struct {
	SessionTimeout     Bounded  // group.consumer.session.timeout.ms
	HeartbeatInterval  Bounded  // group.consumer.heartbeat.interval.ms
	AssignmentInterval Bounded  // group.consumer.assignment.interval.ms
	MaxSize            int      // group.consumer.max.size
	Assignors          []string // group.consumer.assignors, by the names that clients know; the first is the default
	Upgrade, Downgrade bool     // group.consumer.migration.policy
	RegexRefresh       time.Duration
}

// Bounded is a time that may be set for each group, and between what.
type Bounded struct{ Standard, Min, Max time.Duration }

// of is what counts for a group: what is set for it, held within the bounds.
func (b Bounded) of(set map[string]string, key string) time.Duration {
	d, err := milliseconds(set[key])
	if err != nil {
		return b.Standard
	}
	return min(max(d, b.Min), b.Max)
}

// noCluster is before the first word of the cluster: it has no topics.
type noCluster struct{}

func (noCluster) Topic(string) (Topic, bool)               { return Topic{}, false }
func (noCluster) TopicByID(protocol.TopicID) (Topic, bool) { return Topic{}, false }
func (noCluster) TopicNames() iter.Seq[string]             { return func(func(string) bool) {} }
func (noCluster) Racks(string, int) []string               { return nil }
func (noCluster) Version() int64                           { return 0 }
func (noCluster) GroupConfig(string) map[string]string     { return nil }

func milliseconds(text string) (time.Duration, error) {
	ms, err := strconv.ParseInt(text, 10, 32)
	return time.Duration(ms) * time.Millisecond, err
}
