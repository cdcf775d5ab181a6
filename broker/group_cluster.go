package broker

import (
	"iter"
	"slices"
	"time"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/coordinator/group"
	"github.com/klamm-io/klamm/protocol"
)

// regexRefresh is how often regular expressions are looked up again though no
// topic came or went: what a client may see may have changed.
const regexRefresh = 10 * time.Minute

func consumerConfig(c config.ConsumerGroups) group.Consumer {
	return group.Consumer{
		SessionTimeout: group.Bounded(c.Session), HeartbeatInterval: group.Bounded(c.Heartbeat), AssignmentInterval: group.Bounded(c.Assignment),
		MaxSize: int(c.MaxSize), Assignors: c.Assignors, Upgrade: c.Upgrade, Downgrade: c.Downgrade, RegexRefresh: regexRefresh,
	}
}

// groupCluster is the cluster as consumer groups see it, at one moment.
type groupCluster struct {
	image   *metadata.Image
	config  *config.Broker
	version int64
}

func asTopic(t *metadata.Topic, found bool) (group.Topic, bool) {
	if !found {
		return group.Topic{}, false
	}
	return group.Topic{Name: t.Name, ID: t.ID, Partitions: len(t.Partitions)}, true
}

// Topic returns the topic of that name.
func (c *groupCluster) Topic(name string) (group.Topic, bool) { return asTopic(c.image.Topic(name)) }

// TopicByID returns the topic of that id.
func (c *groupCluster) TopicByID(id protocol.TopicID) (group.Topic, bool) {
	return asTopic(c.image.TopicByID(id))
}

// TopicNames yields all topics' names.
func (c *groupCluster) TopicNames() iter.Seq[string] {
	return func(yield func(string) bool) {
		for t := range c.image.Topics() {
			if !yield(t.Name) {
				return
			}
		}
	}
}

// Racks lists the racks of a partition's replicas, sorted.
func (c *groupCluster) Racks(topic string, partition int) []string {
	t, found := c.image.Topic(topic)
	if !found || partition >= len(t.Partitions) {
		return nil
	}
	var racks []string
	for _, id := range t.Partitions[partition].Replicas {
		if b, found := c.image.Broker(id); found && b.Rack != "" {
			racks = append(racks, b.Rack)
		}
	}
	slices.Sort(racks)
	return racks
}

// Version grows with every change.
func (c *groupCluster) Version() int64 { return c.version }

// GroupConfig is what is set for a group, by key.
func (c *groupCluster) GroupConfig(id string) map[string]string {
	return c.config.Group(c.image.BrokerConfig(c.config.NodeID), c.image.Config(metadata.GroupResource(id)))
}

// tellGroups tells consumer groups what the cluster is now.
func (b *Broker) tellGroups(img *metadata.Image, d *metadata.Delta) {
	b.seen = &groupCluster{image: img, config: b.config, version: b.seen.version + 1}
	var topics []string
	for _, t := range d.TopicsCreated {
		topics = append(topics, t.Name)
	}
	for _, t := range d.TopicsDeleted {
		topics = append(topics, t.Name)
	}
	for _, t := range d.TopicsChanged {
		topics = append(topics, t.After.Name)
	}
	if len(d.BrokersChanged) > 0 { // they may have other racks
		topics = slices.AppendSeq(topics, b.seen.TopicNames())
	}
	b.groups.ClusterChanged(b.seen, topics, len(d.TopicsCreated)+len(d.TopicsDeleted) > 0)
}
