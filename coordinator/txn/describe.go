package txn

import (
	"regexp"
	"slices"
	"time"

	"github.com/klamm-io/klamm/protocol"
)

// Description is what a transactional id is at.
type Description struct {
	TransactionalID string
	Producer        Producer
	State           State
	TimeoutMs       int32
	StartMs         int64 // unix milliseconds, -1 for none
	Partitions      []protocol.TopicPartition
}

// Describe tells of a transactional id, if it is known.
func (c *Coordinator) Describe(id string) (d Description, known bool) {
	t := c.txns[id]
	if t == nil {
		return d, false
	}
	return t.describe(), true
}

func (t *txn) describe() Description {
	return Description{
		TransactionalID: t.id, Producer: t.producer, State: t.state, TimeoutMs: t.timeoutMs, StartMs: t.startMs,
		Partitions: t.sortedPartitions(),
	}
}

// Filter chooses transactional ids; what is empty chooses all.
type Filter struct {
	States       []string
	ProducerIDs  []int64
	RunningForMs int64          // longer than that, negative for all
	ID           *regexp.Regexp // of the whole id; nil for all
}

// UnknownStates are the states of the filter that no transaction ever has.
func (f Filter) UnknownStates() (unknown []string) {
	for _, s := range f.States {
		if !slices.Contains(kafkaStates, s) {
			unknown = append(unknown, s)
		}
	}
	return unknown
}

// List tells of the transactional ids that the filter chooses, in no order.
func (c *Coordinator) List(f Filter, now time.Time) []Description {
	var all []Description
	for _, t := range c.txns {
		if f.chooses(t, now) {
			all = append(all, t.describe())
		}
	}
	return all
}

func (f Filter) chooses(t *txn, now time.Time) bool {
	switch {
	case len(f.ProducerIDs) > 0 && !slices.Contains(f.ProducerIDs, t.producer.ID):
		return false
	case len(f.States) > 0 && !slices.Contains(f.States, t.state.String()):
		return false
	case f.RunningForMs >= 0 && now.UnixMilli()-t.startMs <= f.RunningForMs:
		return false
	}
	return f.ID == nil || f.ID.MatchString(t.id)
}

// States counts the transactional ids by their state, and those whose markers
// could not be written and are tried again.
func (c *Coordinator) States() (counts map[string]int, undelivered int) {
	counts = map[string]int{}
	for _, t := range c.txns {
		counts[t.state.String()]++
	}
	return counts, len(c.failed)
}
