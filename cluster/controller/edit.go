package controller

import (
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

// edit gathers changes of single partitions that a request asks for, those of one
// topic in one record.
type edit struct {
	img     *metadata.Image
	rules   *rulebook
	records []metadata.Record
	topics  map[protocol.TopicID]*metadata.PartitionsChanged // those in records
	at      map[place]int                                    // where in its topic's record a partition is
}

// place is one partition.
type place struct {
	topic protocol.TopicID
	index int32
}

func newEdit(img *metadata.Image, in Inputs) *edit {
	return &edit{img: img, rules: newRulebook(img, in), topics: map[protocol.TopicID]*metadata.PartitionsChanged{}, at: map[place]int{}}
}

// partition returns a topic's partition with what was changed of it so far, nil where
// there is none.
func (e *edit) partition(t *metadata.Topic, index int32) *metadata.Partition {
	if index < 0 || int(index) >= len(t.Partitions) {
		return nil
	}
	if at, changed := e.at[place{t.ID, index}]; changed {
		return &e.topics[t.ID].Changes[at].Partition
	}
	return &t.Partitions[index]
}

func (e *edit) draft(t *metadata.Topic, p *metadata.Partition) *draft {
	d := newDraft(p, e.rules.of(t.Name), e.img.Active)
	return &d
}

// change notes what a partition is to be.
func (e *edit) change(t *metadata.Topic, index int32, next metadata.Partition) {
	r := e.topics[t.ID]
	if r == nil {
		r = &metadata.PartitionsChanged{TopicID: t.ID}
		e.topics[t.ID] = r
		e.records = append(e.records, r)
	}
	if at, changed := e.at[place{t.ID, index}]; changed {
		r.Changes[at].Partition = next
		return
	}
	e.at[place{t.ID, index}] = len(r.Changes)
	r.Changes = append(r.Changes, metadata.PartitionChange{Index: index, Partition: next})
}

// full reports whether one more change would be too many for a request.
func (e *edit) full() bool { return len(e.at) >= maxRecords }
