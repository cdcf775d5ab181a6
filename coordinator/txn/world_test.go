package txn

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// worldPartitions are the partitions that the producers of a world write to.
const worldPartitions = 2

// world is a coordinator with its log, of which what is not flushed is lost in a
// crash, and the logs of partitions, which are the real ones.
type world struct {
	t       *rapid.T
	machine *Coordinator
	now     time.Time

	records []step.Record
	flushed int // how many of records outlive a crash
	held    []held
	markers []WriteMarkers // to be written, in any order and in parts
	late    []func()       // requests that were sent, and come again
	logs    [worldPartitions]*log.Log
}

// held is a reply or an effect that waits for the flush of what was written before.
type held struct {
	reply  *step.Reply
	effect step.Effect
}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, now: time.UnixMilli(1_000_000)}
	w.machine = w.newMachine()
	dir, err := log.OpenDir("/d", log.DirConfig{ProducerExpiry: 1000 * time.Hour, Flushes: 1}, log.Deps{FS: disk.NewMemory(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for p := range w.logs {
		c := log.Config{
			SegmentBytes: 1 << 20, SegmentAge: 1000 * time.Hour, SegmentIndexBytes: 1 << 20, IndexIntervalBytes: 4096, MaxMessageBytes: 1 << 20,
			Compression: log.ProducerCompression, TimestampBeforeMaxMs: 1 << 62, TimestampAfterMaxMs: 1 << 62, FlushMessages: 1 << 60,
		}
		if w.logs[p], err = dir.Open(place(p), protocol.NewTopicID(), c); err != nil {
			t.Fatal(err)
		}
		w.logs[p].BeginEpoch(0)
	}
	return w
}

func place(p int) protocol.TopicPartition {
	return protocol.TopicPartition{Topic: "t", Partition: int32(p)}
}

func (w *world) newMachine() *Coordinator {
	return New(Config{MaxTimeout: time.Hour, AbortInterval: 10 * time.Second, Expiration: 1000 * time.Hour, Version: two, NewestConnection: func() uint64 { return connections }}, slog.New(slog.DiscardHandler))
}

// do does what a step wants, but for what waits for a flush.
func (w *world) do(out step.Output) {
	for _, r := range out.Replies {
		w.answer(r, r.Response)
	}
	for _, write := range out.Writes {
		w.records = append(w.records, write.Records...)
		for _, r := range write.Done(nil) {
			w.held = append(w.held, held{reply: &r})
		}
		if write.Then != nil {
			w.held = append(w.held, held{effect: write.Then})
		}
	}
	for _, r := range out.Later {
		w.held = append(w.held, held{reply: &r})
	}
	for _, e := range out.Effects {
		w.held = append(w.held, held{effect: e})
	}
	if out.Next != nil {
		w.do(out.Next())
	}
}

func (w *world) answer(r step.Reply, with any) {
	r.To.(func(Answer))(with.(Answer))
}

// flush makes durable what was written, and does what waited for that.
func (w *world) flush() {
	w.flushed = len(w.records)
	waited := w.held
	w.held = nil
	for _, h := range waited {
		if h.reply != nil {
			w.answer(*h.reply, h.reply.Response)
		} else {
			w.markers = append(w.markers, h.effect.(WriteMarkers))
		}
	}
}

// crash loses what was not flushed, and all that the coordinator had in mind. It may
// be that another broker was the coordinator meanwhile: connections outlive it.
func (w *world) crash() {
	w.records, w.held, w.markers = w.records[:w.flushed], nil, nil
	w.machine = w.newMachine()
	for _, r := range w.records {
		if err := w.machine.Replay(r.Key, r.Value, w.now); err != nil {
			w.t.Fatal(err)
		}
	}
	w.do(w.machine.Loaded(w.now))
}

// ask sends a request. It has no answer where the coordinator crashes before its
// record is flushed, or where the answer itself is lost.
func (w *world) ask(request func(to step.Ticket) step.Output) (a Answer, answered bool) {
	w.do(request(func(got Answer) { a, answered = got, true }))
	if rapid.IntRange(0, 9).Draw(w.t, "crash") == 0 {
		w.crash()
	} else {
		w.flush()
	}
	if rapid.IntRange(0, 4).Draw(w.t, "lost") == 0 {
		return Answer{}, false
	}
	return a, answered
}

// writeSome writes the markers of one decision into some of its partitions.
func (w *world) writeSome(all bool) {
	if len(w.markers) == 0 {
		return
	}
	i := 0
	if !all {
		i = rapid.IntRange(0, len(w.markers)-1).Draw(w.t, "decision")
	}
	m := w.markers[i]
	w.markers = slices.Delete(w.markers, i, i+1)
	var written []protocol.TopicPartition
	for _, tp := range m.Partitions {
		if all || rapid.Bool().Draw(w.t, "written") {
			w.writeMarker(m.Marker, tp)
			written = append(written, tp)
		}
	}
	w.do(w.machine.MarkersWritten(m, written, w.now))
	if len(written) < len(m.Partitions) {
		w.do(w.machine.MarkersFailed(m, w.now))
	}
}

func (w *world) writeMarker(m step.Marker, tp protocol.TopicPartition) {
	batch, err := record.BuildMarker(m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch, m.Commit, w.now.UnixMilli())
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = w.logs[tp.Partition].Append(batch, log.AppendOptions{Now: w.now, Origin: log.FromCoordinator, MarkerEpochEach: m.Version >= 2})
	if err != nil && (m.Version < 2 || !errors.Is(err, kerr.InvalidProducerEpoch)) {
		w.t.Fatalf("marker %+v: %v", m, err)
	}
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	w.do(w.machine.Tick(w.now))
	w.flush()
}

// visible are the values that readers of committed records get from a partition.
func (w *world) visible(p int) (values []string) {
	l := w.logs[p]
	end := l.LastStable(l.End())
	aborted, err := l.AbortedTransactions(0, end)
	if err != nil {
		w.t.Fatal(err)
	}
	slices.SortFunc(aborted, func(a, b log.AbortedTxn) int { return int(a.FirstOffset - b.FirstOffset) })
	skipping := map[int64]bool{}
	w.each(l, end, func(b record.Batch, value string) {
		for len(aborted) > 0 && aborted[0].FirstOffset <= b.LastOffset() {
			skipping[aborted[0].ProducerID], aborted = true, aborted[1:]
		}
		switch {
		case b.Attributes().Control():
			delete(skipping, b.ProducerID())
		case !skipping[b.ProducerID()]:
			values = append(values, value)
		}
	})
	return values
}

// each calls visit for every batch below end, with the value of its only record.
func (w *world) each(l *log.Log, end int64, visit func(record.Batch, string)) {
	if end == 0 {
		return
	}
	slice, err := l.Read(0, 1<<20, end, true)
	if err != nil {
		w.t.Fatal(err)
	}
	defer slice.Close()
	raw := make([]byte, slice.Len)
	if _, err := slice.File.ReadAt(raw, slice.Off); err != nil {
		w.t.Fatal(err)
	}
	for len(raw) > 0 {
		batch, rest, err := record.Next(raw)
		if err != nil {
			w.t.Fatal(err)
		}
		raw = rest
		err = batch.Each(&record.Scratch{}, 1<<20, func(r *record.Record) error {
			visit(batch, string(r.Value))
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}
