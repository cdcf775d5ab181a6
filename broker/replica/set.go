package replica

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/log"
)

// expiryInterval is how often produces that waited too long are looked for; a
// request's time-out is late by at most that.
const expiryInterval = 100 * time.Millisecond

// examineInterval is how often all partitions are looked at whether their logs have failed
// or they ail. Those that produces wait for are looked at with each expiry.
const examineInterval = time.Second

// Set holds every replica of this node. It is safe for concurrent use.
type Set struct {
	waits moves[Partition] // those that produces have come to wait for

	mu sync.RWMutex
	// Guarded by mu.
	byName map[string]*topic
	byID   map[protocol.TopicID]*topic
	failed func(*Partition) // hears of each partition whose log failed; nil: nobody does
	told   map[*Partition]bool
	ails   func(*Partition) // hears of each partition that is damaged; nil: nobody does
}

type topic struct {
	name       string
	id         protocol.TopicID
	partitions map[int32]*hosted
}

// hosted is a partition, or why it is offline here.
type hosted struct {
	partition *Partition
	offline   error
}

// NewSet returns an empty set.
func NewSet() *Set {
	return &Set{waits: newMoves[Partition](), byName: map[string]*topic{}, byID: map[protocol.TopicID]*topic{}}
}

// Add takes over l as the only replica of tp, led from here in the given epoch.
func (s *Set) Add(tp protocol.TopicPartition, id protocol.TopicID, epoch int32, l *log.Log) *Partition {
	p := newPartition(tp, id, l, &s.waits)
	p.lead(alone(0, epoch), 0, isrRules{}, nil)
	s.put(tp, id, &hosted{partition: p})
	return p
}

// AddReplica takes over l as one replica of tp of several. It serves nothing before
// it is told who leads (see [Replicator.Assign]).
func (s *Set) AddReplica(tp protocol.TopicPartition, id protocol.TopicID, l *log.Log) *Partition {
	p := newPartition(tp, id, l, &s.waits)
	s.put(tp, id, &hosted{partition: p})
	return p
}

// AddOffline notes that tp belongs here but could not be opened, because of why:
// it is answered with KAFKA_STORAGE_ERROR while the others are served.
func (s *Set) AddOffline(tp protocol.TopicPartition, id protocol.TopicID, why error) {
	s.put(tp, id, &hosted{offline: fmt.Errorf("%s is offline: %w: %w", tp, why, kerr.KafkaStorageError)})
}

func (s *Set) put(tp protocol.TopicPartition, id protocol.TopicID, h *hosted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.byName[tp.Topic]
	if t == nil {
		t = &topic{name: tp.Topic, id: id, partitions: map[int32]*hosted{}}
		s.byName[tp.Topic] = t
		s.byID[id] = t
	}
	t.partitions[tp.Partition] = h
}

// Get returns the replica of one partition, or UNKNOWN_TOPIC_OR_PARTITION, or
// KAFKA_STORAGE_ERROR where its log could not be opened.
func (s *Set) Get(name string, partition int32) (*Partition, error) {
	s.mu.RLock()
	h, ok := s.byName[name].find(partition)
	s.mu.RUnlock()
	return h.answer(ok, kerr.UnknownTopicOrPartition)
}

// GetByID is Get for clients that name topics by id. An id that is not known is
// UNKNOWN_TOPIC_ID. The topic's name is returned with the partition's error too.
func (s *Set) GetByID(id protocol.TopicID, partition int32) (name string, p *Partition, err error) {
	s.mu.RLock()
	t := s.byID[id]
	h, ok := t.find(partition)
	s.mu.RUnlock()
	if t == nil {
		return "", nil, kerr.UnknownTopicID
	}
	p, err = h.answer(ok, kerr.UnknownTopicOrPartition)
	return t.name, p, err
}

func (t *topic) find(partition int32) (*hosted, bool) {
	if t == nil {
		return nil, false
	}
	h, ok := t.partitions[partition]
	return h, ok
}

func (h *hosted) answer(found bool, missing error) (*Partition, error) {
	switch {
	case !found:
		return nil, missing
	case h.offline != nil:
		return nil, h.offline
	case h.partition.log.Failed() != nil:
		return nil, fmt.Errorf("%s: %w: %w", h.partition, h.partition.log.Failed(), kerr.KafkaStorageError)
	}
	return h.partition, nil
}

// Remove forgets all partitions of a topic and answers what waits for them with
// UNKNOWN_TOPIC_OR_PARTITION. It returns those that had a log.
func (s *Set) Remove(name string) []*Partition {
	s.mu.Lock()
	t := s.byName[name]
	if t != nil {
		delete(s.byName, name)
		delete(s.byID, t.id)
	}
	s.mu.Unlock()
	if t == nil {
		return nil
	}
	var removed []*Partition
	for _, h := range t.partitions {
		if h.partition != nil {
			h.partition.deleted.Store(true)
			h.partition.fail(kerr.UnknownTopicOrPartition)
			removed = append(removed, h.partition)
		}
	}
	return removed
}

// RemoveOne forgets one partition, which lives on at other nodes, and answers what
// waits for it with NOT_LEADER_OR_FOLLOWER. It returns nil where there is none, or
// it had no log.
func (s *Set) RemoveOne(tp protocol.TopicPartition) *Partition {
	s.mu.Lock()
	t := s.byName[tp.Topic]
	h, found := t.find(tp.Partition)
	if found {
		delete(t.partitions, tp.Partition)
		if len(t.partitions) == 0 {
			delete(s.byName, t.name)
			delete(s.byID, t.id)
		}
	}
	s.mu.Unlock()
	if !found || h.partition == nil {
		return nil
	}
	h.partition.deleted.Store(true)
	h.partition.fail(h.partition.notLed())
	return h.partition
}

// All yields the partitions that are online, in no order.
func (s *Set) All() iter.Seq[*Partition] {
	return func(yield func(*Partition) bool) {
		for _, p := range s.list() {
			if !yield(p) {
				return
			}
		}
	}
}

func (s *Set) list() []*Partition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []*Partition
	for _, t := range s.byName {
		all = t.online(all)
	}
	return all
}

// Topic returns the partitions of one topic that are online, in no order.
func (s *Set) Topic(name string) []*Partition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.byName[name]; t != nil {
		return t.online(nil)
	}
	return nil
}

func (t *topic) online(to []*Partition) []*Partition {
	for _, h := range t.partitions {
		if h.partition != nil {
			to = append(to, h.partition)
		}
	}
	return to
}

// Offline counts the partitions that cannot be served because of their disk.
func (s *Set) Offline() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, t := range s.byName {
		for _, h := range t.partitions {
			if h.offline != nil || h.partition.log.Failed() != nil {
				n++
			}
		}
	}
	return n
}

// Run answers produces whose time-out passed with REQUEST_TIMED_OUT, and those
// whose log failed with KAFKA_STORAGE_ERROR, and tells of replicas that ail, until ctx
// ends.
func (s *Set) Run(ctx context.Context) error {
	tick := time.NewTicker(expiryInterval)
	defer tick.Stop()
	var waited []*Partition
	for looked := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			waited = s.waits.take(waited[:0])
			s.expire(waited, now)
			s.examine(waited)
			clear(waited)
			if now.Sub(looked) >= examineInterval {
				looked = now
				s.examine(s.list())
			}
		}
	}
}

// expire looks at partitions that produces wait for, and has those that they go on
// waiting for looked at again.
func (s *Set) expire(waited []*Partition, now time.Time) {
	for _, p := range waited {
		p.waiting.letGo()
		if p.expire(now) {
			s.waits.add(p, &p.waiting)
		}
	}
}

// examine answers what waits for partitions whose log failed, and tells of those, and
// of those that ail.
func (s *Set) examine(among []*Partition) {
	for _, p := range among {
		if err := p.log.Failed(); err != nil {
			p.fail(fmt.Errorf("%s: %w: %w", p, err, kerr.KafkaStorageError))
			s.tellFailed(p)
		} else if p.Ails() {
			s.tellAils(p)
		}
	}
}

// OnFailed lets fn hear once of each partition whose log has failed, from [Set.Run].
func (s *Set) OnFailed(fn func(*Partition)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed, s.told = fn, map[*Partition]bool{}
}

// OnAiling lets fn hear again and again, from [Set.Run], of each partition that is
// damaged or was, until [Partition.Repair] says that it is sound.
func (s *Set) OnAiling(fn func(*Partition)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ails = fn
}

func (s *Set) tellAils(p *Partition) {
	s.mu.RLock()
	tell := s.ails
	s.mu.RUnlock()
	if tell != nil {
		tell(p)
	}
}

func (s *Set) tellFailed(p *Partition) {
	s.mu.Lock()
	tell := s.failed
	if tell == nil || s.told[p] {
		s.mu.Unlock()
		return
	}
	s.told[p] = true
	s.mu.Unlock()
	tell(p)
}
