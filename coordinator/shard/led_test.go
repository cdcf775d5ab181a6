package shard

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/group"
	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/coordinator/txn"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
)

// slowLog is read a batch each second.
type slowLog struct {
	*memoryLog
	read int
}

func (l *slowLog) Replay(apply func(record.Batch) error) error {
	return l.memoryLog.Replay(func(b record.Batch) error {
		time.Sleep(time.Second)
		l.read++
		return apply(b)
	})
}

// slow returns a log of n commits of group g.
func slow(t *testing.T, n int64) *slowLog {
	l := newLog()
	g := lead(t, l)
	for i := range n {
		g.OffsetCommit(commitOf(i), Client{}, func(*kmsg.OffsetCommitResponse) {})
	}
	l.commit(nil)
	return &slowLog{memoryLog: l}
}

// committedOffset asks for what group g committed.
func committedOffset(g *Groups) (offset int64, code int16) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = 7, "g"
	answers := make(chan *kmsg.OffsetFetchResponse, 1)
	g.OffsetFetch(req, Client{}, func(r *kmsg.OffsetFetchResponse) { answers <- r })
	r := <-answers
	if r.ErrorCode != 0 || len(r.Topics) == 0 {
		return -1, r.ErrorCode
	}
	return r.Topics[0].Partitions[0].Offset, 0
}

// TestLeadAnew: in a later leader epoch the coordinator begins from the log, also
// while that of an earlier one still reads it; that one stops reading. Nothing
// changes where the same epoch is told again, or one that is past.
func TestLeadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := slow(t, 10)
		g := newGroups()
		first := make(chan error, 1)
		load := g.Lead(0, 5, l)
		go func() { first <- load() }()
		time.Sleep(2500 * time.Millisecond)
		second := slow(t, 3)
		again := g.Lead(0, 7, second)
		if err := g.Lead(0, 7, newLog())(); err != nil {
			t.Errorf("told of the same epoch again: %v", err)
		}
		if err := g.Lead(0, 6, newLog())(); err != nil {
			t.Errorf("told of an epoch that is past: %v", err)
		}
		if _, code := committedOffset(g); code != kerr.CoordinatorLoadInProgress.Code {
			t.Errorf("while it loads anew: error %d", code)
		}
		if err := again(); err != nil {
			t.Fatal(err)
		}
		if offset, code := committedOffset(g); offset != 2 || code != 0 {
			t.Errorf("led anew: offset %d, error %d; want 2", offset, code)
		}
		if err := <-first; err != nil {
			t.Errorf("the load that was overtaken: %v", err)
		}
		if l.read > 3 {
			t.Errorf("the load that was overtaken read on: %d batches", l.read)
		}
	})
}

// TestLeadAnewWhileServing: who waits in the earlier epoch is sent away, and no step
// of it is taken any more.
func TestLeadAnewWhileServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		g := lead(t, l)
		a, b := expect[*kmsg.JoinGroupResponse](t), expect[*kmsg.JoinGroupResponse](t)
		g.JoinGroup(join(""), Client{ID: "a"}, a.take)
		g.JoinGroup(join(""), Client{ID: "b"}, b.take)
		before, err := g.of("g")
		if err != nil {
			t.Fatal(err)
		}
		load := g.Lead(0, 2, l)
		if !b.came || b.got.ErrorCode != kerr.NotCoordinator.Code {
			t.Errorf("who waited is answered %+v", b.got)
		}
		err = before.step(func(*group.Coordinator) step.Output { t.Error("a step of an epoch that is past"); return step.Output{} })
		if !errors.Is(err, kerr.NotCoordinator) {
			t.Errorf("a step of the epoch before: %v", err)
		}
		if err := load(); err != nil {
			t.Fatal(err)
		}
		if _, code := committedOffset(g); code != 0 {
			t.Errorf("led anew: error %d", code)
		}
	})
}

// TestResignEndsTheLoad: soon, whatever the log holds.
func TestResignEndsTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, resign := range map[string]func(*Groups){
			"one": func(g *Groups) { g.Resign(0) },
			"all": func(g *Groups) { g.ResignAll() },
		} {
			l := slow(t, 100)
			g := newGroups()
			loaded := make(chan error, 1)
			load := g.Lead(0, 1, l)
			go func() { loaded <- load() }()
			time.Sleep(1500 * time.Millisecond)
			resign(g)
			began := time.Now()
			if err := <-loaded; err != nil || time.Since(began) > time.Second {
				t.Errorf("%s: the load ended after %v with %v", name, time.Since(began), err)
			}
			if _, code := committedOffset(g); code != kerr.NotCoordinator.Code {
				t.Errorf("%s: error %d, want NOT_COORDINATOR", name, code)
			}
		}
	})
}

// TestChangesWhileLoading: a topic that is deleted while the log is read is gone from
// what groups committed, once it is read.
func TestChangesWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := slow(t, 5)
		g := newGroups()
		loaded := make(chan error, 1)
		load := g.Lead(0, 1, l)
		go func() { loaded <- load() }()
		time.Sleep(2500 * time.Millisecond)
		g.TopicsDeleted([]string{"t"})
		if err := <-loaded; err != nil {
			t.Fatal(err)
		}
		if all := g.Committed(); len(all) != 1 || len(all[0].Offsets) != 0 {
			t.Errorf("of a deleted topic: %+v", all)
		}
		l.commit(nil)
	})
}

// TestTxnsLedAnew: markers of a decision are asked for in the epoch that leads, and
// what they come to is not told to a coordinator that has ended.
func TestTxnsLedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, asked := newLog(), make(chan marked, 10)
		txns := NewTxns(TxnConfig{Config: txn.Config{MaxTimeout: time.Hour, AbortInterval: time.Hour, Expiration: time.Hour, Version: func() int16 { return 2 }, NewestConnection: func() uint64 { return 0 }}, Partitions: 1}, TxnDeps{
			Markers: markersTo(asked), NewProducerID: func() (int64, error) { return 40, nil }, Logger: slog.New(slog.DiscardHandler),
		})
		if err := txns.Lead(0, 3, l)(); err != nil {
			t.Fatal(err)
		}
		r := txn.Request{TransactionalID: "x", Producer: txn.None}
		txns.InitProducerID(r, time.Minute, func(a txn.Answer) { r.Producer = a.Producer })
		l.commit(nil)
		r.Version = 2
		txns.AddPartitions(r, []protocol.TopicPartition{{Topic: "t"}}, 0, func(txn.Answer) {})
		l.commit(nil)
		txns.End(r, true, func(txn.Answer) {})
		l.commit(nil)
		first := <-asked
		if err := txns.Lead(0, 4, l)(); err != nil {
			t.Fatal(err)
		}
		l.commit(nil)
		second := <-asked
		if first.marker.CoordinatorEpoch != 3 || second.marker.CoordinatorEpoch != 4 {
			t.Errorf("markers of the coordinator epochs %d and %d, want 3 and 4", first.marker.CoordinatorEpoch, second.marker.CoordinatorEpoch)
		}
		end := l.end
		first.done([]protocol.TopicPartition{{Topic: "t"}}, nil)
		if l.end != end {
			t.Error("a coordinator that has ended completed a transaction")
		}
		second.done([]protocol.TopicPartition{{Topic: "t"}}, nil)
		if l.end == end {
			t.Error("the transaction was not completed")
		}
		l.commit(nil)
	})
}

// marked is what markers were asked for.
type marked struct {
	marker step.Marker
	done   func([]protocol.TopicPartition, error)
}

type markersTo chan marked

func (to markersTo) WriteMarkers(_ context.Context, m step.Marker, _ []protocol.TopicPartition, done func([]protocol.TopicPartition, error)) {
	to <- marked{marker: m, done: done}
}
