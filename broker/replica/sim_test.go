package replica

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

var (
	simSeeds = flag.Int("replica.seeds", 40, "how many histories of three replicas are tried")
	simSeed  = flag.Uint64("replica.seed", 0, "the only one to try, 0 for all")
)

// TestThreeReplicas lets three replicas of two partitions live through power cuts,
// slow and cut links, late words of the controller and leaders that move, while
// producers write with acks=all and readers read from any replica. Then all is
// mended. Held against:
//
//   - no acknowledged record is lost;
//   - what a reader was shown stays, the same at every replica;
//   - the latest offset that leaders tell never moves back, nor does a replica's high
//     watermark while it runs;
//   - in the end all logs are the same, byte for byte.
func TestThreeReplicas(t *testing.T) {
	if *simSeed != 0 {
		tryHistory(t, *simSeed)
		return
	}
	for seed := range uint64(*simSeeds) {
		if tryHistory(t, seed+1); t.Failed() {
			return
		}
	}
}

func tryHistory(t *testing.T, seed uint64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newSimWorld(t, seed)
		w.live()
		w.mend()
		w.check()
		w.stop()
		if t.Failed() {
			t.Logf("run with -replica.seed=%d to see it again", seed)
		}
	})
}

// simWorld is three nodes, what lies between them and what is known of them.
type simWorld struct {
	t           *testing.T
	controller  *modelController
	flushMillis int

	mu sync.Mutex
	// Guarded by mu.
	rng    *rand.Rand
	nodes  map[int32]*simNode // those that are up
	disks  map[int32]*disk.Memory
	cut    map[[2]int32]bool  // links that carry nothing; 0 is the controller
	acked  []map[int64]string // by partition: offset, value
	shown  []map[int64]string
	latest []epochLatest
	values int

	said  lastWords
	over  chan struct{}
	tasks sync.WaitGroup
}

// epochLatest is the largest latest offset that a leader told, and its epoch.
type epochLatest struct {
	epoch  int32
	offset int64
}

const simPartitions = 2

func newSimWorld(t *testing.T, seed uint64) *simWorld {
	rng := rand.New(rand.NewPCG(seed, 0x4b4c414d4d))
	w := &simWorld{
		t: t, rng: rng, controller: newModelController(simPartitions, 1+rng.IntN(2)), flushMillis: []int{1, 5, 20, 150}[rng.IntN(4)],
		nodes: map[int32]*simNode{}, disks: map[int32]*disk.Memory{}, cut: map[[2]int32]bool{}, over: make(chan struct{}),
	}
	for range simPartitions {
		w.acked, w.shown = append(w.acked, map[int64]string{}), append(w.shown, map[int64]string{})
		w.latest = append(w.latest, epochLatest{epoch: -1, offset: -1})
	}
	for id := int32(1); id <= 3; id++ {
		w.disks[id] = disk.NewMemory()
		w.start(id)
	}
	return w
}

func (w *simWorld) pick(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

func (w *simWorld) someMillis(n int) time.Duration {
	return time.Duration(w.pick(n)) * time.Millisecond
}

func (w *simWorld) node(id int32) *simNode {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[id]
}

func (w *simWorld) reaches(a, b int32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.cut[[2]int32{a, b}] && !w.cut[[2]int32{b, a}]
}

// start starts a node over its disk.
func (w *simWorld) start(id int32) {
	n := startSimNode(w.t, id, w.disks[id], simPartitions, func() time.Duration { return w.someMillis(w.flushMillis) })
	n.brokerEpoch = w.controller.register(id)
	ctx := n.run(ReplicatorDeps{
		Send: func(ctx context.Context, to int32, req kmsg.Request) (kmsg.Response, error) {
			return w.send(ctx, n, to, req)
		},
		Propose:     func(p Proposal, done func(ProposalAnswer)) { n.tasks.Go(func() { w.propose(n, p, done) }) },
		Eligible:    w.controller.eligible,
		BrokerEpoch: func() int64 { return n.brokerEpoch },
		Throttled:   func(protocol.TopicPartition) time.Duration { return 0 },
		Received:    func(protocol.TopicPartition, int) {},
		Logger:      slog.New(slog.NewTextHandler(&w.said, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", id),
	})
	n.tasks.Go(func() { w.observe(ctx, n) })
	n.tasks.Go(func() { n.keepBusy(ctx, func() time.Duration { return w.someMillis(30) }) })
	w.mu.Lock()
	w.nodes[id] = n
	w.mu.Unlock()
}

// observe tells a node what the controller says, late.
func (w *simWorld) observe(ctx context.Context, n *simNode) {
	for ctx.Err() == nil {
		if w.reaches(0, n.id) {
			for i, p := range n.partitions {
				n.replicator.Assign(p, w.controller.assignment(i))
			}
			n.replicator.Reconsider()
		}
		time.Sleep(time.Millisecond + w.someMillis(20))
	}
}

var errLost = errors.New("the connection broke")

// send carries a request, and its answer back. Either may be late; what was given
// up arrives all the same.
func (w *simWorld) send(ctx context.Context, from *simNode, to int32, req kmsg.Request) (kmsg.Response, error) {
	if from.dead.Load() {
		return nil, errLost
	}
	type outcome struct {
		response kmsg.Response
		err      error
	}
	answer := make(chan outcome, 1)
	w.tasks.Go(func() {
		w.travel()
		n := w.node(to)
		if n == nil || !w.reaches(from.id, to) {
			time.Sleep(50 * time.Millisecond)
			answer <- outcome{err: errLost}
			return
		}
		response, err := n.serve(ctx, req)
		w.travel()
		if n.dead.Load() || !w.reaches(from.id, to) {
			response, err = nil, errLost
		}
		answer <- outcome{response, err}
	})
	select {
	case a := <-answer:
		return a.response, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// travel takes as long as a message does: mostly not long.
func (w *simWorld) travel() {
	if d := w.someMillis(3); w.pick(30) > 0 {
		time.Sleep(d)
	} else {
		time.Sleep(w.someMillis(200))
	}
}

// propose carries a proposal to the controller. Its answer may get lost.
func (w *simWorld) propose(n *simNode, p Proposal, done func(ProposalAnswer)) {
	time.Sleep(w.someMillis(10))
	if n.dead.Load() || !w.reaches(0, n.id) {
		done(ProposalAnswer{Err: errLost})
		return
	}
	answer := w.controller.propose(p)
	time.Sleep(w.someMillis(10))
	if w.pick(10) == 0 {
		answer = ProposalAnswer{Err: errLost}
	}
	done(answer)
}

// live lets things happen for a while.
func (w *simWorld) live() {
	for i := range simPartitions {
		w.tasks.Go(func() { w.produce(i) })
		w.tasks.Go(func() { w.read(i) })
	}
	for range 25 + w.pick(15) {
		time.Sleep(w.someMillis(60))
		w.disturb()
	}
}

func (w *simWorld) disturb() {
	id, other := int32(1+w.pick(3)), int32(w.pick(4))
	switch w.pick(7) {
	case 0, 1:
		w.cutPower(id)
	case 2, 3:
		w.mu.Lock()
		w.cut[[2]int32{id, other}] = id != other && !w.cut[[2]int32{id, other}]
		w.mu.Unlock()
	case 4:
		w.mu.Lock()
		clear(w.cut)
		w.mu.Unlock()
	case 5:
		w.deleteSome(w.pick(simPartitions))
	default:
		w.controller.move(w.pick(simPartitions), w.pick(3))
	}
}

// cutPower ends a node and starts it again after a while, sometimes before the
// controller has noticed. A disk that is in no ISR may be replaced by an empty one.
func (w *simWorld) cutPower(id int32) {
	w.mu.Lock()
	n := w.nodes[id]
	delete(w.nodes, id)
	w.mu.Unlock()
	if n == nil {
		return
	}
	n.dead.Store(true)
	w.mu.Lock()
	w.disks[id] = n.disk.Crash(w.rng)
	w.mu.Unlock()
	n.end()
	time.Sleep(w.someMillis(30))
	if w.pick(3) > 0 {
		w.controller.fence(id)
		time.Sleep(w.someMillis(100))
	}
	if w.pick(4) == 0 && w.needless(id) {
		w.disks[id] = disk.NewMemory()
	}
	w.start(id)
}

// needless reports whether no ISR has the broker.
func (w *simWorld) needless(id int32) bool {
	for i := range simPartitions {
		a := w.controller.assignment(i)
		if len(without(a.ISR, []int32{id})) < len(a.ISR) {
			return false
		}
	}
	return true
}

// deleteSome moves a log's start.
func (w *simWorld) deleteSome(i int) {
	for id := int32(1); id <= 3; id++ {
		if n := w.node(id); n != nil && n.partitions[i].Leads() {
			p := n.partitions[i]
			if before := (p.Log().Start() + p.HighWatermark()) / 2; before > 0 {
				_, _ = p.DeleteRecords(before)
			}
		}
	}
}

// produce appends at whoever says that it leads.
func (w *simWorld) produce(i int) {
	for {
		select {
		case <-w.over:
			return
		case <-time.After(w.someMillis(8)):
		}
		n := w.node(int32(1 + w.pick(3)))
		if n == nil || n.partitions[i].CheckMinISR() != nil {
			continue
		}
		w.append(n, i)
	}
}

func (w *simWorld) append(n *simNode, i int) {
	w.mu.Lock()
	w.values++
	value := fmt.Sprint("value ", w.values, " of node ", n.id)
	w.mu.Unlock()
	b := record.NewBuilder()
	b.Append(time.Now().UnixMilli(), nil, []byte(value))
	batch, err := b.Build(nil)
	if err != nil {
		w.t.Error(err)
		return
	}
	p := n.partitions[i]
	at, err := p.Append(batch, log.AppendOptions{Now: time.Now()})
	if err != nil {
		return
	}
	p.WhenCommitted(at.LeaderEpoch, at.LastOffset, time.Now().Add(500*time.Millisecond), func(err error) func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil && !n.dead.Load() {
			w.note(w.acked[i], at.LastOffset, value, "acknowledged", n, i)
		}
		return nil
	})
}

// note remembers what is at an offset, for good. The caller holds mu.
func (w *simWorld) note(known map[int64]string, offset int64, value, how string, n *simNode, i int) {
	if was, is := known[offset]; is && was != value {
		w.t.Errorf("offset %d of partition %d: %q was %s before, %q is now, at node %d in leader epoch %d",
			offset, i, was, how, value, n.id, n.partitions[i].LeaderEpoch())
	}
	known[offset] = value
}

// read looks at any replica, as consumers do.
func (w *simWorld) read(i int) {
	for {
		select {
		case <-w.over:
			return
		case <-time.After(w.someMillis(10)):
		}
		if n := w.node(int32(1 + w.pick(3))); n != nil {
			w.readFrom(n, i)
		}
	}
}

func (w *simWorld) readFrom(n *simNode, i int) {
	p := n.partitions[i]
	epoch := p.LeaderEpoch()
	latest, err := p.LatestOffset()
	led := err == nil && p.Leads() && p.LeaderEpoch() == epoch
	start, end := p.Log().Start(), p.ReadEnd(false)
	var raw []byte
	if from := start + int64(w.pick(int(max(end-start, 1)))); from < end {
		if s, err := p.Log().Read(from, 500, end, true); err == nil {
			raw, _ = bytesOf(s)
			s.Close()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n.dead.Load() {
		return
	}
	if end < n.watermarks[i] {
		w.t.Errorf("the high watermark of partition %d at node %d went from %d back to %d", i, n.id, n.watermarks[i], end)
	}
	n.watermarks[i] = end
	if was := w.latest[i]; led && epoch >= was.epoch {
		if latest < was.offset {
			w.t.Errorf("the latest offset of partition %d is %d in leader epoch %d, and was %d in %d", i, latest, epoch, was.offset, was.epoch)
		}
		w.latest[i] = epochLatest{epoch: epoch, offset: latest}
	}
	for offset, value := range valuesOf(w.t, raw) {
		if offset < end {
			w.note(w.shown[i], offset, value, "shown", n, i)
		}
	}
}

// valuesOf returns the values of some batches by their offsets.
func valuesOf(t testing.TB, raw []byte) map[int64]string {
	values := map[int64]string{}
	for len(raw) > 0 {
		batch, rest, err := record.Next(raw)
		if err == nil {
			err = batch.Verify()
		}
		if err == nil {
			err = batch.Each(&record.Scratch{}, 1<<20, func(r *record.Record) error {
				values[batch.BaseOffset()+int64(r.OffsetDelta)] = string(r.Value)
				return nil
			})
		}
		if err != nil {
			t.Errorf("a batch: %v", err)
			return values
		}
		raw = rest
	}
	return values
}

// mend lets all links work and waits until the replicas are in sync.
func (w *simWorld) mend() {
	w.mu.Lock()
	clear(w.cut)
	w.mu.Unlock()
	close(w.over)
	for began := time.Now(); !w.inSync(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			w.t.Errorf("after half a minute of peace they are not in sync: %s", w.describe())
			return
		}
	}
}

func (w *simWorld) inSync() bool {
	for i := range simPartitions {
		a := w.controller.assignment(i)
		if len(a.ISR) < 3 || a.Leader < 0 {
			return false
		}
		leader := w.node(a.Leader).partitions[i].Log()
		for id := int32(1); id <= 3; id++ {
			p := w.node(id).partitions[i]
			if p.Log().End() != leader.End() || p.HighWatermark() != leader.End() || p.Log().Start() < leader.Start() {
				return false
			}
		}
	}
	return true
}

func (w *simWorld) describe() (all string) {
	for i := range simPartitions {
		all += fmt.Sprintf("\npartition %d: %+v", i, w.controller.assignment(i))
		for id := int32(1); id <= 3; id++ {
			p := w.node(id).partitions[i]
			all += fmt.Sprintf("\n  node %d: %d to %d, flushed %d, high watermark %d, leader epoch %d, leads: %v, failed: %v", id,
				p.Log().Start(), p.Log().End(), p.Log().Flushed(), p.HighWatermark(), p.LeaderEpoch(), p.Leads(), p.Log().Failed())
			if lead := p.leading.Load(); lead != nil {
				lead.mu.Lock()
				all += fmt.Sprintf("\n    it knows %+v, proposes %+v, rests until %v", lead.isr.agreed, lead.isr.proposal, lead.isr.rest)
				for id, f := range lead.isr.followers {
					all += fmt.Sprintf("\n    and of %d: %+v", id, *f)
				}
				lead.mu.Unlock()
			}
		}
	}
	return all + w.said.String()
}

// check holds what the logs have against what is known.
func (w *simWorld) check() {
	for i := range simPartitions {
		start := int64(0)
		for id := int32(1); id <= 3; id++ {
			start = max(start, w.node(id).partitions[i].Log().Start())
		}
		first := wholeLog(w.t, w.node(1).partitions[i].Log(), start)
		for id := int32(2); id <= 3; id++ {
			if !bytes.Equal(wholeLog(w.t, w.node(id).partitions[i].Log(), start), first) {
				w.t.Errorf("partition %d is not the same at nodes 1 and %d: %s", i, id, w.difference(i, id, start))
			}
		}
		values := valuesOf(w.t, first)
		w.mu.Lock()
		for how, known := range map[string]map[int64]string{"acknowledged": w.acked[i], "shown": w.shown[i]} {
			for offset, value := range known {
				if offset >= start && values[offset] != value {
					w.t.Errorf("offset %d of partition %d was %s as %q, and is %q", offset, i, how, value, values[offset])
				}
			}
		}
		w.mu.Unlock()
	}
}

// difference shows where two logs begin to differ, as offset/leader epoch value.
func (w *simWorld) difference(i int, id int32, start int64) string {
	a, b := w.node(1).partitions[i].Log(), w.node(id).partitions[i].Log()
	va, vb := valuesOf(w.t, wholeLog(w.t, a, start)), valuesOf(w.t, wholeLog(w.t, b, start))
	for at := start; at < max(a.End(), b.End()); at++ {
		if va[at] != vb[at] || a.EpochAt(at) != b.EpochAt(at) {
			return fmt.Sprintf("%d/%d %q and %d/%d %q", at, a.EpochAt(at), va[at], at, b.EpochAt(at), vb[at])
		}
	}
	return "in bytes alone"
}

// wholeLog returns what a log holds from an offset on.
func wholeLog(t testing.TB, l *log.Log, from int64) (all []byte) {
	for at := from; at < l.End(); {
		s, err := l.Read(at, 1<<20, l.End(), true)
		if err != nil {
			t.Error(err)
			return all
		}
		raw, err := bytesOf(s)
		s.Close()
		if err != nil || len(raw) == 0 {
			t.Errorf("%s at %d: %d bytes, %v", l, at, len(raw), err)
			return all
		}
		all = append(all, raw...)
		for len(raw) > 0 {
			batch, rest, err := record.Next(raw)
			if err != nil {
				t.Error(err)
				return all
			}
			at, raw = batch.NextOffset(), rest
		}
	}
	return all
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

func (w *simWorld) stop() {
	for id := int32(1); id <= 3; id++ {
		w.node(id).end()
	}
	w.tasks.Wait()
}
