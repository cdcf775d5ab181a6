package replica

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/log"
)

// knownPartition is a partition of one topic; of the topic that is made after it in
// its place nothing is known by that.
type knownPartition struct {
	topic     protocol.TopicID
	partition int32
}

// knownRecords is what clients were told of a partition: what is at which offset.
type knownRecords struct {
	acked  map[int64]string
	shown  map[int64]string
	latest epochLatest
}

// epochLatest is the largest latest offset that a leader told, and its epoch.
type epochLatest struct {
	epoch  int32
	offset int64
}

// of returns what is known of a partition. The caller holds mu.
func (w *simWorld) of(p *Partition) *knownRecords {
	key := knownPartition{topic: p.TopicID, partition: p.Partition}
	if w.known[key] == nil {
		w.known[key] = &knownRecords{acked: map[int64]string{}, shown: map[int64]string{}, latest: epochLatest{epoch: -1, offset: -1}}
	}
	return w.known[key]
}

// produce appends at whoever says that it leads.
func (w *simWorld) produce(slot int) {
	who := fmt.Sprint("producer ", slot)
	for {
		select {
		case <-w.over:
			return
		case <-time.After(w.chance.millis(who, 8)):
		}
		n := w.someNode(who)
		if n == nil {
			continue
		}
		if r := n.replica(slot); r != nil && r.CheckMinISR() == nil {
			w.append(n, r, who)
		}
	}
}

// append appends one to three records with acks=all.
func (w *simWorld) append(n *simNode, r *simReplica, who string) {
	b := record.NewBuilder()
	var values []string
	for range 1 + w.chance.pick(who, 3) {
		w.mu.Lock()
		w.values++
		key := fmt.Sprint("key ", w.chance.pick(who, 8))
		values = append(values, fmt.Sprintf("%s: value %d of node %d", key, w.values, n.id))
		w.mu.Unlock()
		b.Append(time.Now().UnixMilli(), []byte(key), []byte(values[len(values)-1]))
	}
	batch, err := b.Build(nil)
	if err != nil {
		w.t.Error(err)
		return
	}
	at, err := r.Append(batch, log.AppendOptions{Now: time.Now()})
	if err != nil {
		return
	}
	r.WhenCommitted(at.LeaderEpoch, at.LastOffset, time.Now().Add(500*time.Millisecond), func(err error) func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if err != nil || n.dead.Load() {
			return nil
		}
		for i, value := range values {
			w.note(w.of(r.Partition).acked, at.BaseOffset+int64(i), value, "acknowledged", n, r)
		}
		return nil
	})
}

// note remembers what is at an offset, for good. The caller holds mu.
func (w *simWorld) note(known map[int64]string, offset int64, value, how string, n *simNode, r *simReplica) {
	if was, is := known[offset]; is && was != value && !w.unclean {
		w.t.Errorf("offset %d of %s: %q was %s before, %q is now, at node %d in leader epoch %d", offset, r, was, how, value, n.id, r.LeaderEpoch())
	}
	known[offset] = value
}

// read looks at any replica, as consumers do.
func (w *simWorld) read(slot int) {
	who := fmt.Sprint("reader ", slot)
	for {
		select {
		case <-w.over:
			return
		case <-time.After(w.chance.millis(who, 10)):
		}
		n := w.someNode(who)
		if n == nil {
			continue
		}
		if r := n.replica(slot); r != nil {
			w.readFrom(n, r, who)
		}
	}
}

func (w *simWorld) readFrom(n *simNode, r *simReplica, who string) {
	epoch := r.LeaderEpoch()
	latest, err := r.LatestOffset()
	led := err == nil && r.Leads() && r.LeaderEpoch() == epoch
	start, end := r.Log().Start(), r.ReadEnd(false)
	var raw []byte
	if from := start + int64(w.chance.pick(who, int(max(end-start, 1)))); from < end {
		if s, err := r.Log().Read(from, 500, end, true); err == nil {
			raw, _ = bytesOf(s)
			s.Close()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n.dead.Load() || w.unclean {
		return
	}
	if end < r.watermark {
		w.t.Errorf("the high watermark of %s at node %d went from %d back to %d", r, n.id, r.watermark, end)
	}
	r.watermark = end
	known := w.of(r.Partition)
	if was := known.latest; led && epoch >= was.epoch {
		if latest < was.offset {
			w.t.Errorf("the latest offset of %s is %d in leader epoch %d, and was %d in %d", r, latest, epoch, was.offset, was.epoch)
		}
		known.latest = epochLatest{epoch: epoch, offset: latest}
	}
	for offset, found := range recordsOf(w.t, raw) {
		if offset < end {
			w.note(known.shown, offset, found.value, "shown", n, r)
		}
	}
}

// foundRecord is a record of a log, as far as all replicas have it the same.
type foundRecord struct {
	key, value string
	epoch      int32
	timestamp  int64
}

// recordsOf returns the records of some batches by their offsets.
func recordsOf(t testing.TB, raw []byte) map[int64]foundRecord {
	records := map[int64]foundRecord{}
	for len(raw) > 0 {
		batch, rest, err := record.Next(raw)
		if err == nil {
			err = batch.Verify()
		}
		if err == nil {
			err = batch.Each(&record.Scratch{}, 1<<20, func(r *record.Record) error {
				records[batch.BaseOffset()+int64(r.OffsetDelta)] = foundRecord{
					key: string(r.Key), value: string(r.Value), epoch: batch.PartitionLeaderEpoch(), timestamp: batch.Timestamp(r),
				}
				return nil
			})
		}
		if err != nil {
			t.Errorf("a batch: %v", err)
			return records
		}
		raw = rest
	}
	return records
}

// lastWords keeps the end of what was logged.
type lastWords struct {
	mu    sync.Mutex
	lines [20][]byte // a ring; guarded by mu
	next  int
}

func (l *lastWords) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines[l.next%len(l.lines)] = bytes.Clone(line)
	l.next++
	return len(line), nil
}

func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.next % len(l.lines)
	return "\n" + string(bytes.Join(append(l.lines[at:len(l.lines):len(l.lines)], l.lines[:at]...), nil))
}
