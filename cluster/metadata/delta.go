package metadata

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// Delta is what one [Image.Apply] changed, compared from end to end: a topic
// that was created and deleted by it appears nowhere.
type Delta struct {
	TopicsCreated []*Topic
	TopicsDeleted []*Topic
	TopicsChanged []TopicChange // those with new or changed partitions
	// ConfigsChanged are the resources whose configs changed, without the
	// topics that were created or deleted.
	ConfigsChanged []Resource
	BrokersChanged []int32
	ACLsAdded      []security.ACL
	ACLsRemoved    []security.ACL
	QuotasChanged  []QuotaEntity
}

// TopicChange is a topic whose partitions changed. After has at least as many
// as Before.
type TopicChange struct{ Before, After *Topic }

// delta compares what was touched. Topics come in the order of their ids,
// everything else sorted too, so that equal records give equal deltas.
func (c *change) delta(before, after *Image) *Delta {
	d := &Delta{}
	slices.SortFunc(c.topicsTouched, compareTopicIDs)
	for _, id := range slices.Compact(c.topicsTouched) {
		d.addTopic(before, after, id)
	}
	slices.SortFunc(c.configsTouched, compareResources)
	for _, r := range slices.Compact(c.configsTouched) {
		if sameOwner(before, after, r) && !maps.Equal(before.Config(r), after.Config(r)) {
			d.ConfigsChanged = append(d.ConfigsChanged, r)
		}
	}
	slices.Sort(c.brokersTouched)
	d.BrokersChanged = slices.Compact(c.brokersTouched)
	d.addACLs(before, after, c.aclsTouched)
	slices.SortFunc(c.quotasTouched, compareQuotaEntities)
	for _, e := range slices.Compact(c.quotasTouched) {
		if !maps.Equal(before.QuotasOf(e), after.QuotasOf(e)) {
			d.QuotasChanged = append(d.QuotasChanged, e)
		}
	}
	return d
}

func (d *Delta) addACLs(before, after *Image, touched []security.ACL) {
	slices.SortFunc(touched, security.ACL.Compare)
	for _, a := range slices.Compact(touched) {
		switch was, is := before.HasACL(a), after.HasACL(a); {
		case is && !was:
			d.ACLsAdded = append(d.ACLsAdded, a)
		case was && !is:
			d.ACLsRemoved = append(d.ACLsRemoved, a)
		}
	}
}

// Diff compares two images of one cluster, however they came to be: what a node
// missed whose leader sends it a snapshot. Topics and brokers that are equal in
// both appear nowhere.
func Diff(before, after *Image) *Delta {
	c := &change{}
	for t := range after.Topics() {
		if was, found := before.TopicByID(t.ID); !found || !sameTopic(was, t) {
			c.topicsTouched = append(c.topicsTouched, t.ID)
		}
	}
	for t := range before.Topics() {
		if _, found := after.TopicByID(t.ID); !found {
			c.topicsTouched = append(c.topicsTouched, t.ID)
		}
	}
	for _, i := range []*Image{before, after} {
		for r := range i.configs.all() {
			c.configsTouched = append(c.configsTouched, r)
		}
		for b := range i.Brokers() {
			if !sameBroker(before, after, b.ID) {
				c.brokersTouched = append(c.brokersTouched, b.ID)
			}
		}
		c.aclsTouched = slices.AppendSeq(c.aclsTouched, i.ACLs())
		for e := range i.Quotas() {
			c.quotasTouched = append(c.quotasTouched, e)
		}
	}
	return c.delta(before, after)
}

func sameTopic(a, b *Topic) bool {
	return a.Name == b.Name && slices.EqualFunc(a.Partitions, b.Partitions, func(p, q Partition) bool { return p.Equal(&q) })
}

func sameBroker(before, after *Image, id int32) bool {
	was, existed := before.Broker(id)
	is, exists := after.Broker(id)
	return existed && exists && was.equal(is)
}

func (d *Delta) addTopic(before, after *Image, id protocol.TopicID) {
	was, existed := before.TopicByID(id)
	is, exists := after.TopicByID(id)
	switch {
	case existed && exists:
		d.TopicsChanged = append(d.TopicsChanged, TopicChange{was, is})
	case exists:
		d.TopicsCreated = append(d.TopicsCreated, is)
	case existed:
		d.TopicsDeleted = append(d.TopicsDeleted, was)
	}
}

// sameOwner reports whether r's configs belonged to the same thing all along.
func sameOwner(before, after *Image, r Resource) bool {
	if r.Type != kmsg.ConfigResourceTypeTopic {
		return true
	}
	was, existed := before.Topic(r.Name)
	is, exists := after.Topic(r.Name)
	return existed && exists && was.ID == is.ID
}
