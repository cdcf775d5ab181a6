package metadata

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
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
	return d
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
