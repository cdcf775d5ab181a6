package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/group"
	"github.com/klamm-io/klamm/protocol/record"
)

// memoryLog is a log that commits when the test says so.
type memoryLog struct {
	mu        sync.Mutex
	batches   []record.Batch
	end       int64
	committed int64 // offsets below are
	waits     map[int64][]func(error)
	refuse    error         // of appends
	broken    error         // of replays
	opened    chan struct{} // a replay waits for it, if it is there
}

func newLog() *memoryLog { return &memoryLog{waits: map[int64][]func(error){}} }

func (l *memoryLog) Append(batch record.Batch, _ AppendOptions) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return -1, l.refuse
	}
	batch.SetBaseOffset(l.end)
	l.batches = append(l.batches, batch)
	l.end = batch.NextOffset()
	return l.end - 1, nil
}

func (l *memoryLog) Verify(int64, int16) uint64 { return 0 }

func (l *memoryLog) WhenCommitted(offset int64, done func(error)) {
	l.mu.Lock()
	if offset >= l.committed {
		l.waits[offset] = append(l.waits[offset], done)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	done(nil)
}

func (l *memoryLog) Replay(apply func(record.Batch) error) error {
	if l.opened != nil {
		<-l.opened
	}
	for _, b := range l.batches {
		if err := apply(b); err != nil {
			return err
		}
	}
	return l.broken
}

// commit ends all waiting with err; what is appended until now is committed if
// that is nil.
func (l *memoryLog) commit(err error) {
	l.mu.Lock()
	waits := l.waits
	l.waits = map[int64][]func(error){}
	if err == nil {
		l.committed = l.end
	}
	l.mu.Unlock()
	for _, all := range waits {
		for _, done := range all {
			done(err)
		}
	}
}

func newGroups() *Groups {
	return New(Config{
		Config: group.Config{
			MinSessionTimeout: time.Second, MaxSessionTimeout: time.Minute, MaxSize: 10,
			OffsetMetadataMax: 100, OffsetsRetention: time.Hour,
		},
		Partitions: 1, ExpiryInterval: time.Minute,
	}, slog.New(slog.DiscardHandler))
}

func lead(t *testing.T, l Log) *Groups {
	g := newGroups()
	if err := g.Lead(0, 1, l)(); err != nil {
		t.Fatal(err)
	}
	return g
}

// answer is where a reply arrives, once.
type answer[R any] struct {
	t    *testing.T
	got  R
	came bool
}

func expect[R any](t *testing.T) *answer[R] { return &answer[R]{t: t} }

func (a *answer[R]) take(r R) {
	if a.came {
		a.t.Errorf("a second answer: %+v", r)
	}
	a.got, a.came = r, true
}

func commitOf(offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 8, "g", -1
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: offset}}}}
	return req
}

func commitCode(r *kmsg.OffsetCommitResponse) error {
	return kerr.ErrorForCode(r.Topics[0].Partitions[0].ErrorCode)
}

func join(member string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.ProtocolType = 3, "g", member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 5000, 30_000
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0}}}
	return req
}

// TestHeldUntilCommitted: an answer leaves when what it says is committed, and so
// does what tells of it; where it is lost instead, the client is told to look for
// the coordinator.
func TestHeldUntilCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog()
		g := lead(t, log)
		first, read := expect[*kmsg.OffsetCommitResponse](t), expect[*kmsg.OffsetFetchResponse](t)
		g.OffsetCommit(commitOf(5), Client{}, first.take)
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Version, fetch.Group = 7, "g"
		g.OffsetFetch(fetch, Client{}, read.take)
		synctest.Wait()
		if first.came || read.came {
			t.Errorf("answered before it is committed: %v, %v", first.came, read.came)
		}
		log.commit(nil)
		synctest.Wait()
		if !first.came || commitCode(first.got) != nil || !read.came || read.got.Topics[0].Partitions[0].Offset != 5 {
			t.Errorf("once committed: %+v, %+v", first.got, read.got)
		}
		lost := expect[*kmsg.OffsetCommitResponse](t)
		g.OffsetCommit(commitOf(6), Client{}, lost.take)
		log.commit(errors.New("another broker leads"))
		if !lost.came || !errors.Is(commitCode(lost.got), kerr.NotCoordinator) {
			t.Errorf("a commit that is lost is answered %+v", lost.got)
		}
	})
}

// TestRefusedAppend: what the log says is translated for clients, and nothing is
// kept.
func TestRefusedAppend(t *testing.T) {
	for refuse, want := range map[*kerr.Error]*kerr.Error{
		kerr.NotLeaderForPartition: kerr.NotCoordinator,
		kerr.KafkaStorageError:     kerr.NotCoordinator,
		kerr.MessageTooLarge:       kerr.UnknownServerError,
		kerr.NotEnoughReplicas:     kerr.CoordinatorNotAvailable,
	} {
		log := newLog()
		g := lead(t, log)
		log.refuse = fmt.Errorf("append: %w", refuse)
		got := expect[*kmsg.OffsetCommitResponse](t)
		g.OffsetCommit(commitOf(5), Client{}, got.take)
		if !got.came || !errors.Is(commitCode(got.got), want) {
			t.Errorf("%v is answered %+v, want %v", refuse, got.got, want)
		}
		if all := g.Committed(); len(all) != 0 {
			t.Errorf("%v, and kept all the same: %+v", refuse, all)
		}
	}
}

// TestLoad: while the log is read, clients are told to come back, at once; if it
// cannot be read, that the coordinator is not available; afterwards, what it has.
func TestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog()
		written := expect[*kmsg.OffsetCommitResponse](t)
		lead(t, log).OffsetCommit(commitOf(5), Client{}, written.take)
		log.commit(nil)

		log.opened = make(chan struct{})
		g := newGroups()
		loaded := make(chan error, 1)
		go func() { loaded <- g.Lead(0, 1, log)() }()
		synctest.Wait()
		early := expect[*kmsg.OffsetCommitResponse](t)
		g.OffsetCommit(commitOf(6), Client{}, early.take)
		if !early.came || !errors.Is(commitCode(early.got), kerr.CoordinatorLoadInProgress) {
			t.Errorf("while it loads: %+v", early.got)
		}
		listed := expect[*kmsg.ListGroupsResponse](t)
		g.ListGroups(kmsg.NewPtrListGroupsRequest(), Client{}, listed.take)
		if !listed.came || listed.got.ErrorCode != kerr.CoordinatorLoadInProgress.Code {
			t.Errorf("the list while it loads: %+v", listed.got)
		}
		close(log.opened)
		if err := <-loaded; err != nil {
			t.Fatal(err)
		}
		if all := g.Committed(); len(all) != 1 || len(all[0].Offsets) != 1 {
			t.Errorf("loaded: %+v", all)
		}

		log.broken = errors.New("a disk that fails")
		g = newGroups()
		if err := g.Lead(0, 1, log)(); !errors.Is(err, log.broken) {
			t.Errorf("a log that cannot be read: %v", err)
		}
		late := expect[*kmsg.OffsetCommitResponse](t)
		g.OffsetCommit(commitOf(7), Client{}, late.take)
		if !errors.Is(commitCode(late.got), kerr.CoordinatorNotAvailable) {
			t.Errorf("after it could not be read: %+v", late.got)
		}
		others := expect[*kmsg.ListGroupsResponse](t)
		g.ListGroups(kmsg.NewPtrListGroupsRequest(), Client{}, others.take)
		if !others.came || others.got.ErrorCode != 0 {
			t.Errorf("the list of all others: %+v", others.got)
		}
	})
}

// TestResign: whoever waits for the group is answered, and so is who comes later;
// a load that is under way does not bring the groups back.
func TestResign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog()
		g := lead(t, log)
		a, b := expect[*kmsg.JoinGroupResponse](t), expect[*kmsg.JoinGroupResponse](t)
		g.JoinGroup(join(""), Client{ID: "a"}, a.take)
		g.JoinGroup(join(""), Client{ID: "b"}, b.take)
		if !a.came || b.came {
			t.Fatalf("one joined, one waits: %+v, %+v", a.got, b.got)
		}
		g.Resign(0)
		if !b.came || b.got.ErrorCode != kerr.NotCoordinator.Code {
			t.Errorf("who waited is answered %+v", b.got)
		}
		late := expect[*kmsg.OffsetCommitResponse](t)
		g.OffsetCommit(commitOf(6), Client{}, late.take)
		if !errors.Is(commitCode(late.got), kerr.NotCoordinator) {
			t.Errorf("afterwards: %+v", late.got)
		}

		log.opened = make(chan struct{})
		g = newGroups()
		go g.Lead(0, 1, log)()
		synctest.Wait()
		p, err := g.of("g")
		if err != nil {
			t.Fatal(err)
		}
		g.Resign(0)
		close(log.opened)
		synctest.Wait()
		if err := p.serving(); !errors.Is(err, kerr.NotCoordinator) {
			t.Errorf("given up while it loaded, it serves: %v", err)
		}
	})
}

// TestTimePasses: Run ends sessions and lets offsets expire, and stops when told.
func TestTimePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog()
		g := lead(t, log)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- g.Run(ctx) }()
		a := expect[*kmsg.JoinGroupResponse](t)
		g.JoinGroup(join(""), Client{ID: "a"}, a.take)
		time.Sleep(4900 * time.Millisecond)
		if got := g.States(); got[group.Kind{Type: "classic", State: "CompletingRebalance"}] != 1 {
			t.Errorf("before the session ends: %v", got)
		}
		time.Sleep(200 * time.Millisecond)
		if got := g.States(); got[group.Kind{Type: "classic", State: "Empty"}] != 1 {
			t.Errorf("after the session: %v", got)
		}
		g.OffsetCommit(commitOf(5), Client{}, func(*kmsg.OffsetCommitResponse) {})
		time.Sleep(59 * time.Minute)
		if got := g.Committed(); len(got) != 1 {
			t.Errorf("before the offset expires: %+v", got)
		}
		time.Sleep(3 * time.Minute)
		if got := g.Committed(); len(got) != 0 {
			t.Errorf("after it: %+v", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		log.commit(nil)
	})
}

// TestOneAtATime: commits of many clients are in the log in the order in which
// they changed the group, so a replay ends where the group is.
func TestOneAtATime(t *testing.T) {
	log := newLog()
	g := lead(t, log)
	var all sync.WaitGroup
	for i := range int64(200) {
		all.Go(func() { g.OffsetCommit(commitOf(i), Client{}, func(*kmsg.OffsetCommitResponse) {}) })
	}
	all.Wait()
	want := g.Committed()
	if got := lead(t, log).Committed(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("replayed %v, want %v", got, want)
	}
	log.commit(nil)
}

// TestCorruptLog: records that cannot be read are left out, the others count.
func TestCorruptLog(t *testing.T) {
	log := newLog()
	lead(t, log).OffsetCommit(commitOf(5), Client{}, func(*kmsg.OffsetCommitResponse) {})
	for _, key := range [][]byte{nil, {0}, {0, 1, 0xff}, {0, 2, 0}, {0x7f, 0xff, 1}} {
		b := record.NewBuilder()
		b.Append(0, key, []byte{0xff})
		batch, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(batch, AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := lead(t, log).Committed(); len(got) != 1 || len(got[0].Offsets) != 1 {
		t.Errorf("of a damaged log: %+v", got)
	}
}

// TestDeleteExpired: a group can be deleted the moment that the session of its
// last member is over, not only with the next tick.
func TestDeleteExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog()
		g := lead(t, log)
		joined := expect[*kmsg.JoinGroupResponse](t)
		g.JoinGroup(join(""), Client{}, joined.take)
		log.commit(nil)
		if !joined.came || joined.got.ErrorCode != 0 {
			t.Fatalf("joined: %+v", joined.got)
		}
		time.Sleep(time.Minute)
		deleted := expect[*kmsg.DeleteGroupsResponse](t)
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{"g"}
		g.DeleteGroups(req, Client{}, deleted.take)
		log.commit(nil)
		synctest.Wait()
		if !deleted.came || deleted.got.Groups[0].ErrorCode != 0 {
			t.Errorf("deleted: %+v, %+v", deleted.came, deleted.got)
		}
	})
}
