package replica

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

	"github.com/klamm-io/klamm/broker/wait"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

var flightsID = protocol.TopicID{15: 7}

type unobserved struct{}

func (unobserved) Flushed(time.Duration)           {}
func (unobserved) Damaged(protocol.TopicPartition) {}

// openFlights opens the log of a partition in a folder of its own on fs. Nothing
// is flushed but on demand where flushOnAck is false.
func openFlights(t testing.TB, fs disk.FS, partition int32, flushOnAck bool) (protocol.TopicPartition, *log.Log) {
	t.Helper()
	d, err := log.OpenDir(fmt.Sprint("d", partition), log.DirConfig{NodeID: 1, Flushes: 1, ProducerExpiry: time.Hour},
		log.Deps{FS: fs, Logger: slog.New(slog.DiscardHandler), Observe: unobserved{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // a log that was made to fail says so again
	tp := protocol.TopicPartition{Topic: "flights", Partition: partition}
	l, err := d.Open(tp, flightsID, log.Config{
		SegmentBytes: 1 << 30, SegmentAge: time.Hour, SegmentIndexBytes: 1 << 20, IndexIntervalBytes: 4096,
		RetentionMs: -1, RetentionBytes: -1, MaxMessageBytes: 1 << 20, Compression: log.ProducerCompression,
		TimestampBeforeMaxMs: 1 << 62, TimestampAfterMaxMs: 1 << 62, FlushOnAck: flushOnAck,
		FlushMessages: 1 << 62, FlushInterval: 1 << 62,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tp, l
}

// lead adds a partition of flights to s.
func lead(t *testing.T, s *Set, partition int32) *Partition {
	t.Helper()
	tp, l := openFlights(t, disk.NewMemory(), partition, true)
	return s.Add(tp, flightsID, 3, l)
}

func oneRecord() (record.Batch, error) {
	b := record.NewBuilder()
	b.Append(time.Now().UnixMilli(), nil, []byte("value"))
	return b.Build(nil)
}

func appendOne(p *Partition) (log.AppendResult, error) {
	batch, err := oneRecord()
	if err != nil {
		return log.AppendResult{}, err
	}
	return p.Append(batch, log.AppendOptions{Now: time.Now()})
}

// committed waits for the answer about an offset.
func committed(p *Partition, offset int64, patience time.Duration) error {
	answer := make(chan error, 1)
	p.WhenCommitted(p.LeaderEpoch(), offset, time.Now().Add(patience), func(err error) func() { answer <- err; return nil })
	return <-answer
}

// TestAppendIsCommitted: what is acknowledged lies below the high watermark.
func TestAppendIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := lead(t, NewSet(), 0)
		for i := range int64(5) {
			result, err := appendOne(p)
			if err != nil || result.BaseOffset != i {
				t.Fatalf("append %d: %+v, %v", i, result, err)
			}
			if err := committed(p, result.LastOffset, time.Minute); err != nil || p.HighWatermark() <= result.LastOffset {
				t.Errorf("offset %d is acknowledged at high watermark %d: %v", result.LastOffset, p.HighWatermark(), err)
			}
		}
		if p.ReadEnd(false) != 5 || p.ReadEnd(true) != 5 || p.LastStable() != 5 {
			t.Errorf("consumers may read to %d, committed only to %d", p.ReadEnd(false), p.ReadEnd(true))
		}
	})
}

// TestWatermarkNeverMovesBack: neither by ends that come late, nor where many come
// at once; and the log hears the same.
func TestWatermarkNeverMovesBack(t *testing.T) {
	tp, l := openFlights(t, disk.NewMemory(), 0, false)
	p := NewSet().Add(tp, flightsID, 0, l)
	for range 200 {
		if _, err := appendOne(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, end := range []int64{3, 1, 3, 0} {
		if p.committed(end); p.HighWatermark() < 3 {
			t.Fatalf("the high watermark went back to %d", p.HighWatermark())
		}
	}
	var all sync.WaitGroup
	for mover := range int64(4) {
		all.Go(func() {
			for end := mover; end <= 200; end += 1 + mover {
				p.committed(end)
				if now := p.HighWatermark(); now < end {
					t.Errorf("after %d the high watermark is %d", end, now)
				}
			}
		})
	}
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for most := int64(0); ; {
			now := p.HighWatermark()
			if now < most {
				t.Errorf("the high watermark went from %d back to %d", most, now)
			}
			most = now
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	all.Wait()
	close(stop)
	watcher.Wait()
}

// TestEpochFencing: a client that believes in another leader epoch is told whether
// it is behind or ahead.
func TestEpochFencing(t *testing.T) {
	p := lead(t, NewSet(), 0)
	for believed, want := range map[int32]error{-1: nil, 3: nil, 0: kerr.FencedLeaderEpoch, 2: kerr.FencedLeaderEpoch, 4: kerr.UnknownLeaderEpoch, 1 << 30: kerr.UnknownLeaderEpoch} {
		if err := p.CheckEpoch(believed); !errors.Is(err, want) {
			t.Errorf("epoch %d: %v, want %v", believed, err, want)
		}
	}
	if _, err := appendOne(p); err != nil {
		t.Fatal(err)
	}
	if epoch := p.Log().EpochAt(0); epoch != 3 {
		t.Errorf("what the leader of epoch 3 appends is of epoch %d", epoch)
	}
}

// TestAppendIn: who read the partition in one leader epoch appends in no other.
func TestAppendIn(t *testing.T) {
	p := lead(t, NewSet(), 0)
	one, err := oneRecord()
	if err != nil {
		t.Fatal(err)
	}
	for _, epoch := range []int32{2, 4, -1} {
		if _, err := p.AppendIn(epoch, one, log.AppendOptions{Now: time.Now()}); !errors.Is(err, kerr.NotLeaderForPartition) {
			t.Errorf("led in epoch 3, appended in epoch %d: %v", epoch, err)
		}
	}
	if _, err := p.AppendIn(3, one, log.AppendOptions{Now: time.Now()}); err != nil || p.Log().End() != 1 {
		t.Errorf("in epoch 3: %v, the log ends at %d", err, p.Log().End())
	}
}

// TestTimeOut: a produce that is not committed in its time is answered so, and the
// record may be committed later all the same.
func TestTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet()
		fs := disk.NewFaulty(disk.NewMemory())
		tp, l := openFlights(t, fs, 0, true)
		fs.SlowSync(10 * time.Second)
		p := s.Add(tp, flightsID, 0, l)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = s.Run(ctx) })
		result, err := appendOne(p)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := committed(p, result.LastOffset, time.Second); !errors.Is(err, kerr.RequestTimedOut) {
			t.Errorf("a produce that takes too long is answered with %v", err)
		}
		if took := time.Since(began); took < time.Second || took > time.Second+expiryInterval {
			t.Errorf("after %v", took)
		}
		if err := committed(p, result.LastOffset, time.Minute); err != nil {
			t.Errorf("later: %v", err)
		}
		stop()
		running.Wait()
	})
}

// TestRemoveAnswersWhatWaits: a topic that is deleted lets neither producers nor
// fetches wait, and takes no more appends.
func TestRemoveAnswersWhatWaits(t *testing.T) {
	s := NewSet()
	p, other := lead(t, s, 0), lead(t, s, 1)
	answer, poll := make(chan error, 1), wait.NewPoll()
	p.WhenCommitted(3, 9, time.Time{}, func(err error) func() { answer <- err; return nil })
	p.Polls().Add(poll)
	if removed := s.Remove("flights"); len(removed) != 2 {
		t.Errorf("%d partitions were removed", len(removed))
	}
	if err := <-answer; !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("the producer is answered with %v", err)
	}
	<-poll.Woken()
	for _, gone := range []*Partition{p, other} {
		if _, err := appendOne(gone); !errors.Is(err, kerr.UnknownTopicOrPartition) {
			t.Errorf("an append to %s afterwards: %v", gone, err)
		}
	}
	if _, err := s.Get("flights", 0); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("by name: %v", err)
	}
	if _, _, err := s.GetByID(flightsID, 0); !errors.Is(err, kerr.UnknownTopicID) {
		t.Errorf("by id: %v", err)
	}
	if s.Remove("flights") != nil {
		t.Error("it is removed twice")
	}
}

// TestOffline: a partition whose log could not be opened, and one whose log fails
// later, are answered with KAFKA_STORAGE_ERROR; the others are served.
func TestOffline(t *testing.T) {
	s := NewSet()
	sound := lead(t, s, 0)
	s.AddOffline(protocol.TopicPartition{Topic: "flights", Partition: 1}, flightsID, errors.New("no such folder"))
	fs := disk.NewFaulty(disk.NewMemory())
	tp, l := openFlights(t, fs, 2, true)
	failing := s.Add(tp, flightsID, 3, l)
	if s.Offline() != 1 {
		t.Errorf("%d partitions are offline, 1 could not be opened", s.Offline())
	}
	fs.FailSync(true)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	result, err := appendOne(failing)
	if err != nil {
		t.Fatal(err)
	}
	if err := committed(failing, result.LastOffset, time.Minute); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("what could not be flushed is answered with %v", err)
	}
	stop()
	running.Wait()
	for _, partition := range []int32{1, 2} {
		if _, err := s.Get("flights", partition); !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("partition %d by name: %v", partition, err)
		}
		if name, _, err := s.GetByID(flightsID, partition); name != "flights" || !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("partition %d by id: %q, %v", partition, name, err)
		}
	}
	if s.Offline() != 2 {
		t.Errorf("%d partitions are offline, want 2", s.Offline())
	}
	if got, err := s.Get("flights", 0); got != sound || err != nil {
		t.Errorf("the sound one: %v, %v", got, err)
	}
	if _, err := s.Get("flights", 3); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("one that is none: %v", err)
	}
}

// TestDeleteRecords: the start moves up to the high watermark, and not beyond or
// back.
func TestDeleteRecords(t *testing.T) {
	p := lead(t, NewSet(), 0)
	for range 4 {
		result, err := appendOne(p)
		if err == nil {
			err = committed(p, result.LastOffset, time.Minute)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		before, low int64
		err         error
	}{{2, 2, nil}, {1, 2, nil}, {5, -1, kerr.OffsetOutOfRange}, {-2, -1, kerr.OffsetOutOfRange}, {-1, 4, nil}, {0, 4, nil}} {
		if low, err := p.DeleteRecords(c.before); low != c.low || !errors.Is(err, c.err) {
			t.Errorf("before %d: %d, %v; want %d, %v", c.before, low, err, c.low, c.err)
		}
	}
}

// TestManyAtOnce: producers, and those that look partitions up, while topics come
// and go; every append that is taken is answered once.
func TestManyAtOnce(t *testing.T) {
	s := NewSet()
	ctx, stop := context.WithCancel(t.Context())
	var running, producers sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	var ps []*Partition
	for i := range int32(4) {
		ps = append(ps, lead(t, s, i))
	}
	for _, p := range ps {
		for range 3 {
			producers.Go(func() {
				for range 50 {
					result, err := appendOne(p)
					if errors.Is(err, kerr.UnknownTopicOrPartition) {
						return
					}
					if err == nil {
						err = committed(p, result.LastOffset, time.Minute)
					}
					if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
						t.Error(err)
					}
				}
			})
		}
	}
	producers.Go(func() {
		for ps[0].HighWatermark() < 20 {
			for range s.All() {
			}
			s.Offline()
			_, _, _ = s.GetByID(flightsID, 1)
		}
		s.Remove("flights")
	})
	producers.Wait()
	stop()
	running.Wait()
}
