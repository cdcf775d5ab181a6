package replica

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// leader is a node that leads partitions of flights, which broker 2 follows.
type leader struct {
	t        *testing.T
	set      *Set
	sessions *Sessions
	id       int32 // of the follower's session
	epoch    int32 // of its next request
	offsets  map[int32]int64
}

func newLeader(t *testing.T, partitions int32) *leader {
	t.Helper()
	l := &leader{t: t, set: NewSet(), sessions: NewSessions(), offsets: map[int32]int64{}}
	a := Assignment{Leader: 1, LeaderEpoch: 3, Replicas: []int32{1, 2}, ISR: []int32{1, 2}, MinISR: 1}
	rules := isrRules{LagMax: time.Minute, Eligible: func(int32, int64) bool { return true }}
	for i := range partitions {
		tp, flights := openFlights(t, disk.NewMemory(), i, false)
		l.set.AddReplica(tp, flightsID, flights).lead(a, 1, rules, func(*leadership, *proposal) {})
		l.offsets[i] = 0
	}
	return l
}

func (l *leader) partition(index int32) *Partition {
	l.t.Helper()
	p, err := l.set.Get("flights", index)
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// open opens the session for a request that names some partitions.
func (l *leader) open(named ...int32) (*Session, error) {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.SessionID, req.SessionEpoch, req.ReplicaState.Epoch = 18, l.id, l.epoch, 7
	topic := kmsg.NewFetchRequestTopic()
	topic.TopicID = flightsID
	for _, index := range named {
		w := kmsg.NewFetchRequestTopicPartition()
		w.Partition, w.FetchOffset, w.LogStartOffset = index, l.offsets[index], 0
		w.CurrentLeaderEpoch, w.LastFetchedEpoch, w.PartitionMaxBytes = 3, -1, 1<<20
		topic.Partitions = append(topic.Partitions, w)
	}
	req.Topics = append(req.Topics, topic)
	return l.sessions.Open(req, 2, func(id protocol.TopicID, index int32) (*Partition, error) {
		_, p, err := l.set.GetByID(id, index)
		return p, err
	})
}

// fetch is a request that names some partitions. It tells which were looked at, each
// with "+" where records came and with "!" where there was news of the ends.
func (l *leader) fetch(named ...int32) string {
	l.t.Helper()
	s, err := l.open(named...)
	if err != nil {
		l.t.Fatal(err)
	}
	l.id = s.ID()
	l.epoch++
	defer s.Close()
	return l.look(s)
}

func (l *leader) look(s *Session) string {
	l.t.Helper()
	var looked []string
	for _, w := range s.Look() {
		a, err := w.Read(FollowerFetch{MaxBytes: 1 << 20, AtLeastOne: true})
		if err != nil {
			l.t.Fatal(err)
		}
		what := fmt.Sprint(w.Partition)
		if len(a.Records) > 0 {
			what += "+"
			l.offsets[w.Partition] = l.partition(w.Partition).Log().End()
		}
		if w.News(a, nil) {
			what += "!"
		}
		looked = append(looked, what)
	}
	return strings.Join(looked, " ")
}

func (l *leader) append(index int32) {
	l.t.Helper()
	if _, err := appendOne(l.partition(index)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *leader) expect(got, want string) {
	l.t.Helper()
	if got != want {
		l.t.Errorf("looked at %q, want %q", got, want)
	}
}

// A fetch looks at partitions that have moved, and at no others.
func TestFetchLooksOnlyAtWhatMoved(t *testing.T) {
	l := newLeader(t, 4)
	l.expect(l.fetch(0, 1, 2, 3), "0! 1! 2! 3!")
	l.expect(l.fetch(), "")
	l.append(2)
	l.expect(l.fetch(), "2+!")
	l.expect(l.fetch(2), "2!") // it acknowledges, and the high watermark has moved
	l.fetch()
	l.expect(l.fetch(), "")
	if _, err := l.partition(2).DeleteRecords(1); err != nil {
		t.Fatal(err)
	}
	l.expect(l.fetch(), "2!")
	l.expect(l.fetch(), "")
}

// What retention has deleted is told when the leader looks again who is in sync.
func TestSessionHearsOfRetention(t *testing.T) {
	l := newLeader(t, 2)
	l.fetch(0, 1)
	l.append(1)
	l.fetch()
	l.fetch(1)
	l.fetch()
	if err := l.partition(1).Log().AdvanceStart(1); err != nil {
		t.Fatal(err)
	}
	l.partition(1).leading.Load().passed()
	l.expect(l.fetch(), "1!")
}

// What could not be said is looked at again, though it does not move: here the
// follower does not take what it is sent.
func TestSessionLooksAgainAtWhatIsLeft(t *testing.T) {
	l := newLeader(t, 2)
	l.fetch(0, 1)
	l.append(0)
	for range 3 {
		l.expect(strings.TrimSuffix(l.fetch(), "!"), "0+")
	}
	l.fetch(0)
	l.fetch()
	l.expect(l.fetch(), "")
}

// A partition that grows while a fetch waits wakes it, and is looked at.
func TestSessionWakes(t *testing.T) {
	l := newLeader(t, 2)
	l.fetch(0, 1)
	s, err := l.open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l.expect(l.look(s), "")
	l.append(1)
	select {
	case <-s.Woken():
	default:
		t.Error("the fetch sleeps on")
	}
	l.expect(l.look(s), "1+!")
}

// A follower has one session. One that has ended, or is busy with another request, is
// not found.
func TestSessionRefusals(t *testing.T) {
	l := newLeader(t, 1)
	l.fetch(0)
	s, err := l.open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.open(); !errors.Is(err, kerr.FetchSessionIDNotFound) {
		t.Errorf("of a busy session: %v", err)
	}
	s.Close()
	if _, err := l.open(); !errors.Is(err, kerr.InvalidFetchSessionEpoch) {
		t.Errorf("of an epoch that is past: %v", err)
	}
	past := l.id
	l.epoch = 0
	l.fetch(0)
	l.id = past
	if _, err := l.open(); !errors.Is(err, kerr.FetchSessionIDNotFound) {
		t.Errorf("of a session that is past: %v", err)
	}
	if all := l.partition(0).watchers.all.Load(); all == nil || len(*all) != 1 {
		t.Error("the partition tells another than the one session that there is")
	}
}

// A replica that has all there is fetches nothing, and is in sync all the same once
// something is appended; and it joins the ISR when what was in the way is not any more.
func TestISRAtRest(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	eligible := false
	s := newISR(1, isrRules{LagMax: 10 * time.Second, Eligible: func(int32, int64) bool { return eligible }},
		Assignment{Leader: 1, LeaderEpoch: 3, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2}, MinISR: 1}, ends{end: 5, committed: 5}, 5, now)
	for _, id := range []int32{2, 3} {
		if _, err := s.fetchedBy(followerFetch{replica: id, brokerEpoch: 7, offset: 5}, ends{5, 5}, now); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(time.Hour)
	s.grown(ends{6, 6}, now)
	if e := s.passed(ends{6, 6}, now.Add(time.Second)); e.propose != nil {
		t.Errorf("after an hour without records one was appended, and %v is proposed", e.propose.members)
	}
	if _, err := s.fetchedBy(followerFetch{replica: 3, brokerEpoch: 7, offset: 6}, ends{6, 6}, now); err != nil {
		t.Fatal(err)
	}
	eligible = true
	if e := s.passed(ends{6, 6}, now.Add(time.Second)); e.propose == nil || len(e.propose.members) != 3 {
		t.Errorf("3 has all there is and is eligible now, and %v is proposed", e.propose)
	}
}

// A partition costs the set nothing while no produce waits for it, and those that wait
// are answered in time.
func TestSetLooksAtWhatWaits(t *testing.T) {
	l := newLeader(t, 2)
	l.append(0)
	began := time.Now()
	answer := make(chan error, 1)
	p := l.partition(0)
	p.WhenCommitted(3, 0, began.Add(time.Second), func(err error) func() { answer <- err; return nil })
	for _, after := range []time.Duration{0, 500 * time.Millisecond, time.Second} {
		waited := l.set.waits.take(nil)
		if len(waited) != 1 || waited[0] != p {
			t.Fatalf("after %v: %v are waited for, want %v alone", after, waited, p)
		}
		l.set.expire(waited, began.Add(after))
	}
	if err := <-answer; !errors.Is(err, kerr.RequestTimedOut) {
		t.Errorf("answered with %v", err)
	}
	if waited := l.set.waits.take(nil); len(waited) > 0 {
		t.Errorf("%v are waited for after the answer", waited)
	}
}
