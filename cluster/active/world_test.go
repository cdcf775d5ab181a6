package active

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
)

const (
	self = 100 // the node whose active controller is tested
	// flush is how long the quorum takes for a decision.
	flush = 2 * time.Millisecond
	// heartbeat is the brokers' interval.
	heartbeat = 500 * time.Millisecond
)

// fakeQuorum agrees with itself.
type fakeQuorum struct {
	turn chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	image     *metadata.Image
	offset    int64
	rounds    int // that took a flush
	id, epoch int32
	changed   chan struct{}
	observers []func(*metadata.Image, *metadata.Delta)
	broken    error // of every proposal
}

func newFakeQuorum() *fakeQuorum {
	q := &fakeQuorum{turn: make(chan struct{}, 1), image: metadata.Empty(), id: -1, changed: make(chan struct{})}
	q.apply([]metadata.Record{&metadata.ClusterNamed{ClusterID: "klamm"}})
	q.turn <- struct{}{}
	return q
}

func (q *fakeQuorum) Image() *metadata.Image {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.image
}

func (q *fakeQuorum) Applied() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.offset
}

func (q *fakeQuorum) Leader() (id, epoch int32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.id, q.epoch
}

func (q *fakeQuorum) Observe(fn func(*metadata.Image, *metadata.Delta)) *metadata.Image {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.observers = append(q.observers, fn)
	return q.image
}

func (q *fakeQuorum) elect(id int32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.id, q.epoch = id, q.epoch+1
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *fakeQuorum) await(ctx context.Context, enough func(id, epoch int32) bool) (id, epoch int32, err error) {
	for {
		q.mu.Lock()
		id, epoch, changed := q.id, q.epoch, q.changed
		q.mu.Unlock()
		if enough(id, epoch) {
			return id, epoch, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
	}
}

func (q *fakeQuorum) AwaitLead(ctx context.Context) (int32, error) {
	_, epoch, err := q.await(ctx, func(id, _ int32) bool { return id == self })
	return epoch, err
}

func (q *fakeQuorum) AwaitLeaderChange(ctx context.Context, id, epoch int32) (int32, int32, error) {
	return q.await(ctx, func(newID, newEpoch int32) bool { return newID != id || newEpoch != epoch })
}

func (q *fakeQuorum) ProposeAt(ctx context.Context, decide func(*metadata.Image) ([]metadata.Record, error)) (*metadata.Image, int64, error) {
	select {
	case <-q.turn:
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	defer func() { q.turn <- struct{}{} }()
	q.mu.Lock()
	id, broken := q.id, q.broken
	q.mu.Unlock()
	if id != self {
		return nil, 0, kerr.NotController
	}
	if broken != nil {
		return nil, 0, broken
	}
	records, err := decide(q.Image())
	if err != nil {
		return nil, 0, err
	}
	if len(records) > 0 {
		time.Sleep(flush)
		if id, _ := q.Leader(); id != self {
			return nil, 0, kerr.NotController
		}
		q.apply(records)
	}
	return q.Image(), q.Applied(), nil
}

func (q *fakeQuorum) apply(records []metadata.Record) {
	q.mu.Lock()
	next, delta, err := q.image.Apply(records)
	if err != nil {
		panic(err)
	}
	q.image, q.offset, q.rounds = next, q.offset+1, q.rounds+1
	observers := q.observers
	q.mu.Unlock()
	for _, observe := range observers {
		observe(next, delta)
	}
}

// world is a cluster whose brokers do what brokers do, and one of whose nodes may be
// the active controller.
type world struct {
	*Active
	t      *testing.T
	quorum *fakeQuorum
	began  time.Time
	inputs controller.Inputs
	tasks  sync.WaitGroup
	ctx    context.Context
	stop   context.CancelFunc

	mu sync.Mutex
	// Guarded by mu.
	lines   []line
	brokers map[int32]*fakeBroker
	watched []Target
	starts  byte
}

// newWorld must be ended.
func newWorld(t *testing.T, c Config) *world {
	loaded, _, err := config.Load("", nil, []string{"log.dirs=nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, quorum: newFakeQuorum(), began: time.Now(), brokers: map[int32]*fakeBroker{}}
	w.ctx, w.stop = context.WithCancel(t.Context())
	ids := byte(0)
	w.inputs = controller.Inputs{Config: loaded, NewTopicID: func() protocol.TopicID { ids++; return protocol.TopicID{15: ids} }}
	c.Node = self
	w.Active = New(c, Deps{
		Quorum: w.quorum, Inputs: func() controller.Inputs { return w.inputs }, Watch: w.watch,
		Logger: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: withoutTime})), Now: time.Now,
	})
	w.quorum.Observe(w.decided)
	w.tasks.Go(func() {
		if err := w.Run(w.ctx); err != nil {
			w.say("run: %v", err)
		}
	})
	return w
}

func (w *world) end() {
	w.stop()
	w.tasks.Wait()
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
		return slog.Attr{}
	}
	return a
}

// Write takes a line of the log.
func (w *world) Write(line []byte) (int, error) {
	w.say("log: %s", strings.TrimSpace(strings.ReplaceAll(string(line), "msg=", "")))
	return len(line), nil
}

// line is one thing that happened. Of one moment decisions come first, in their order.
type line struct {
	at      time.Duration
	decided bool
	text    string
}

func (w *world) say(format string, args ...any) { w.add(line{text: fmt.Sprintf(format, args...)}) }

func (w *world) add(l line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.at = time.Since(w.began)
	w.lines = append(w.lines, l)
}

func compareLines(a, b line) int {
	switch {
	case a.at != b.at:
		return cmp.Compare(a.at, b.at)
	case a.decided != b.decided:
		return cmp.Compare(index(!a.decided), index(!b.decided))
	case a.decided:
		return 0
	}
	return strings.Compare(a.text, b.text)
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// told returns what was said since it was last asked.
func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.lines
	w.lines = nil
	slices.SortStableFunc(all, compareLines)
	var out strings.Builder
	for _, l := range all {
		fmt.Fprintf(&out, "%6dms  %s\n", l.at.Milliseconds(), l.text)
	}
	if len(all) == 0 {
		return "nothing\n"
	}
	return out.String()
}

// decided tells what a decision changed.
func (w *world) decided(img *metadata.Image, d *metadata.Delta) {
	say := func(format string, args ...any) { w.add(line{decided: true, text: fmt.Sprintf(format, args...)}) }
	for _, id := range d.BrokersChanged {
		b, found := img.Broker(id)
		switch {
		case !found:
			say("broker %d is not registered", id)
		case b.Fenced:
			say("broker %d, epoch %d: fenced", id, b.Epoch)
		case b.InControlledShutdown:
			say("broker %d, epoch %d: shutting down", id, b.Epoch)
		default:
			say("broker %d, epoch %d: active", id, b.Epoch)
		}
	}
	for _, t := range d.TopicsCreated {
		for i := range t.Partitions {
			say("%s", describe(t, i))
		}
	}
	for _, c := range d.TopicsChanged {
		for i := range c.After.Partitions {
			if i >= len(c.Before.Partitions) || !c.Before.Partitions[i].Equal(&c.After.Partitions[i]) {
				say("%s", describe(c.After, i))
			}
		}
	}
}

func describe(t *metadata.Topic, i int) string {
	p := &t.Partitions[i]
	line := fmt.Sprintf("%s-%d: leader %d, epoch %d, replicas %v, isr %v", t.Name, i, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR)
	if len(p.ELR()) > 0 {
		line += fmt.Sprintf(", elr %v", p.ELR())
	}
	return line
}

// watch keeps the connections of a node that is tested: to processes that are not
// there they are refused.
func (w *world) watch(targets []Target) {
	w.mu.Lock()
	before := w.watched
	w.watched = targets
	w.mu.Unlock()
	var nodes []int32
	for _, t := range targets {
		nodes = append(nodes, t.Node)
		if !slices.Contains(before, t) {
			w.tasks.Go(func() { time.Sleep(time.Millisecond); w.dial(t.Node) })
		}
	}
	w.say("watched: %v", nodes)
}

func (w *world) isWatched(id int32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.watched, func(t Target) bool { return t.Node == id })
}

func (w *world) dial(id int32) {
	b := w.broker(id)
	switch {
	case !w.isWatched(id):
	case b == nil || b.ctx.Err() != nil:
		w.Suspect(id, true)
	default:
		w.Reached(id)
	}
}

func (w *world) broker(id int32) *fakeBroker {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.brokers[id]
}

// fakeBroker is one process of a broker.
type fakeBroker struct {
	id          int32
	incarnation [16]byte
	ctx         context.Context
	kill        context.CancelFunc
	former      *fakeBroker // the process before this one

	mu sync.Mutex
	// Guarded by mu.
	previous         int64
	paused, shutDown bool
}

// start begins a process that registers, and sends heartbeats.
func (w *world) start(id int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.starts++
	b := &fakeBroker{id: id, incarnation: [16]byte{w.starts}, previous: -1, former: w.brokers[id]}
	if known, found := w.quorum.Image().Broker(id); found {
		b.previous = known.Epoch
	}
	b.ctx, b.kill = context.WithCancel(w.ctx)
	w.brokers[id] = b
	w.tasks.Go(func() { b.run(w) })
}

func (b *fakeBroker) run(w *world) {
	epoch := int64(-1)
	for b.ctx.Err() == nil {
		leader, leaderEpoch := w.quorum.Leader()
		switch {
		case b.is(&b.paused) || leader != self: // another controller hears of it too, but decides nothing
		case epoch < 0:
			epoch = b.register(w)
		default:
			epoch = b.heartbeat(w, epoch)
		}
		ctx, cancel := context.WithTimeout(b.ctx, heartbeat)
		if fenced := w.fenced(b.id); fenced && !b.is(&b.paused) && epoch >= 0 && leader == self {
			cancel() // it goes on at once
		}
		_, _, _ = w.quorum.AwaitLeaderChange(ctx, leader, leaderEpoch)
		cancel()
		time.Sleep(time.Duration(b.id) * 5 * time.Millisecond) // no two of them speak at once
	}
}

func (w *world) fenced(id int32) bool {
	b, found := w.quorum.Image().Broker(id)
	return found && b.Fenced
}

func (b *fakeBroker) is(flag *bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *flag
}

func (b *fakeBroker) set(flag *bool, value bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*flag = value
}

func (b *fakeBroker) register(w *world) int64 {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.BrokerID, req.ClusterID, req.IncarnationID, req.PreviousBrokerEpoch = b.id, "klamm", b.incarnation, b.previous
	req.LogDirs = [][16]byte{{0xd0, 15: byte(b.id)}}
	l := kmsg.NewBrokerRegistrationRequestListener()
	l.Name, l.Host, l.Port = "PLAINTEXT", "localhost", uint16(9000+b.id)
	req.Listeners = append(req.Listeners, l)
	for _, f := range controller.Features() {
		req.Features = append(req.Features, kmsg.BrokerRegistrationRequestFeature{Name: f.Name, MinSupportedVersion: f.Min, MaxSupportedVersion: f.Max})
	}
	resp := w.RegisterBroker(b.ctx, req)
	if resp.ErrorCode != 0 {
		w.say("broker %d is not let in: %v", b.id, kerr.ErrorForCode(resp.ErrorCode).(*kerr.Error).Message)
		return -1
	}
	return resp.BrokerEpoch
}

func (b *fakeBroker) heartbeat(w *world, epoch int64) int64 {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.BrokerID, req.BrokerEpoch, req.CurrentMetadataOffset, req.WantShutdown = b.id, epoch, w.quorum.Applied(), b.is(&b.shutDown)
	resp := w.Heartbeat(b.ctx, req)
	switch {
	case resp.ErrorCode == kerr.StaleBrokerEpoch.Code:
		return -1
	case resp.ErrorCode != 0:
		w.say("broker %d hears %v", b.id, kerr.ErrorForCode(resp.ErrorCode).(*kerr.Error).Message)
	case resp.ShouldShutdown:
		w.say("broker %d may shut down", b.id)
		b.kill()
	}
	return epoch
}
