package replica

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

var (
	simSeeds = flag.Int("replica.seeds", 40, "how many histories of three replicas are tried")
	simSeed  = flag.Uint64("replica.seed", 0, "the only one to try, 0 for all")
	simProcs = flag.Int("replica.procs", 1, "on how many processors; with more than one a seed is not the same history again")
)

// TestThreeReplicas lets three partitions, of three replicas each on four nodes, live
// through power cuts, killed processes, lost disks, slow and cut links, late words of
// the controller, leaders that move, replicas that move to other nodes, and topics that
// are deleted and made again, while producers write with acks=all and readers read
// from any replica, and while records are deleted, by request and by retention, and a
// log is compacted. Then all is mended. Held against:
//
//   - no acknowledged record is lost;
//   - what a reader was shown stays, the same at every replica;
//   - the latest offset that leaders tell never moves back, nor does a replica's high
//     watermark while it runs;
//   - no log is taken for damaged;
//   - in the end, after the power was cut everywhere, all logs are the same, byte for
//     byte; of the compacted one, all records that more than one of them has, and the
//     last of each key.
func TestThreeReplicas(t *testing.T) { tryHistories(t, false) }

// TestThreeReplicasElectUncleanly is the same with a controller that elects any replica
// where none in sync is there, and sometimes where one is. Records are lost then, but
// in the end all logs are the same.
func TestThreeReplicasElectUncleanly(t *testing.T) { tryHistories(t, true) }

func tryHistories(t *testing.T, unclean bool) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(*simProcs))
	if *simSeed != 0 {
		tryHistory(t, *simSeed, unclean)
		return
	}
	for seed := range uint64(*simSeeds) {
		if tryHistory(t, seed+1, unclean); t.Failed() {
			return
		}
	}
}

func tryHistory(t *testing.T, seed uint64, unclean bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newSimWorld(t, seed, unclean)
		w.live()
		if w.mend() {
			w.check()
		} else {
			w.stop()
		}
		if t.Failed() {
			t.Logf("run with -replica.seed=%d to see it again", seed)
		}
	})
}

// simNodes is how many nodes there are.
const simNodes = 4

// simWorld is the nodes, what lies between them and what is known of them.
type simWorld struct {
	t           *testing.T
	chance      *chance
	unclean     bool
	controller  *modelController
	flushMillis int

	mu sync.Mutex
	// Guarded by mu.
	nodes  map[int32]*simNode // those that are up
	disks  map[int32]*disk.Memory
	cut    map[[2]int32]bool // links that carry nothing; 0 is the controller
	known  map[knownPartition]*knownRecords
	values int

	said    lastWords
	over    chan struct{}
	clients sync.WaitGroup
	tasks   sync.WaitGroup
}

func newSimWorld(t *testing.T, seed uint64, unclean bool) *simWorld {
	c := newChance(seed)
	w := &simWorld{
		t: t, chance: c, unclean: unclean,
		controller:  newModelController(simSlots, 1+c.pick("cluster", 2), unclean),
		flushMillis: []int{1, 5, 20, 150}[c.pick("cluster", 4)],
		nodes:       map[int32]*simNode{}, disks: map[int32]*disk.Memory{}, cut: map[[2]int32]bool{},
		known: map[knownPartition]*knownRecords{}, over: make(chan struct{}),
	}
	for id := int32(1); id <= simNodes; id++ {
		w.disks[id] = disk.NewMemory()
		w.start(id)
	}
	return w
}

// node returns a node that is up, else nil.
func (w *simWorld) node(id int32) *simNode {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[id]
}

// someNode returns one of the nodes, nil where it is not up.
func (w *simWorld) someNode(who string) *simNode {
	return w.node(int32(1 + w.chance.pick(who, simNodes)))
}

func (w *simWorld) reaches(a, b int32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.cut[[2]int32{a, b}] && !w.cut[[2]int32{b, a}]
}

// logger writes down the last words that are said in the history.
func (w *simWorld) logger(id int32) *slog.Logger {
	return slog.New(slog.NewTextHandler(&w.said, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", id)
}

// start starts a node over its disk.
func (w *simWorld) start(id int32) {
	logger := w.logger(id)
	n := startSimNode(w.t, id, w.disks[id], w.chance, w.flushMillis, logger)
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
		Logger:      logger,
	})
	n.tasks.Go(func() { w.observe(ctx, n) })
	n.tasks.Go(func() { n.keepBusy(ctx) })
	w.mu.Lock()
	w.nodes[id] = n
	w.mu.Unlock()
}

// observe tells a node what the controller says, late.
func (w *simWorld) observe(ctx context.Context, n *simNode) {
	for ctx.Err() == nil {
		if w.reaches(0, n.id) {
			n.assign(w.t, w.controller.all())
			n.replicator.Reconsider()
		}
		time.Sleep(time.Millisecond + w.chance.millis(fmt.Sprint("words to ", n.id), 20))
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
		w.travel(from.id, to)
		n := w.node(to)
		if n == nil || !w.reaches(from.id, to) {
			time.Sleep(50 * time.Millisecond)
			answer <- outcome{err: errLost}
			return
		}
		response, err := n.serve(ctx, req)
		w.travel(to, from.id)
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
func (w *simWorld) travel(from, to int32) {
	link := fmt.Sprint("link from ", from, " to ", to)
	if w.chance.pick(link, 30) > 0 {
		time.Sleep(w.chance.millis(link, 3))
	} else {
		time.Sleep(w.chance.millis(link, 200))
	}
}

// propose carries a proposal to the controller. Its answer may get lost.
func (w *simWorld) propose(n *simNode, p Proposal, done func(ProposalAnswer)) {
	link := fmt.Sprint("proposals of ", n.id)
	time.Sleep(w.chance.millis(link, 10))
	if n.dead.Load() || !w.reaches(0, n.id) {
		done(ProposalAnswer{Err: errLost})
		return
	}
	answer := w.controller.propose(p)
	time.Sleep(w.chance.millis(link, 10))
	if w.chance.pick(link, 10) == 0 {
		answer = ProposalAnswer{Err: errLost}
	}
	done(answer)
}

// live lets things happen for a while.
func (w *simWorld) live() {
	for i := range simSlots {
		w.clients.Go(func() { w.produce(i) })
		w.clients.Go(func() { w.read(i) })
	}
	for range 25 + w.chance.pick("fate", 15) {
		time.Sleep(w.chance.millis("fate", 60))
		w.disturb()
	}
}

func (w *simWorld) disturb() {
	pick := func(n int) int { return w.chance.pick("fate", n) }
	id, other, slot := int32(1+pick(simNodes)), int32(pick(simNodes+1)), pick(len(simSlots))
	switch pick(16) {
	case 0, 1, 2, 3:
		w.stopNode(id)
	case 4, 5, 6, 7:
		w.mu.Lock()
		w.cut[[2]int32{id, other}] = id != other && !w.cut[[2]int32{id, other}]
		w.mu.Unlock()
	case 8, 9:
		w.mu.Lock()
		clear(w.cut)
		w.mu.Unlock()
	case 10:
		w.deleteSome(slot)
	case 11, 12:
		w.reassign(slot)
	case 13:
		w.remake(simSlots[slot].Topic)
	case 14:
		if w.unclean {
			w.controller.electUncleanly(slot, pick(simNodes))
			return
		}
		fallthrough
	default:
		w.controller.move(slot, pick(simNodes))
	}
}

// reassign moves a partition to three other nodes, or takes that back.
func (w *simWorld) reassign(slot int) {
	all := []int32{1, 2, 3, 4}
	r := w.chance.stream("moves")
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if w.controller.partition(slot).id != (protocol.TopicID{}) {
		w.controller.reassign(slot, all[:3])
	}
}

// remake deletes a topic and makes it again, at once or after a while.
func (w *simWorld) remake(topic string) {
	w.controller.remove(topic)
	if w.chance.pick("fate", 2) == 0 {
		time.Sleep(w.chance.millis("fate", 100))
	}
	w.controller.create(topic, w.chance.pick("fate", simNodes))
}

// stopNode ends a node, by a power cut or otherwise, and starts it again after a while,
// sometimes before the controller has noticed.
func (w *simWorld) stopNode(id int32) {
	w.mu.Lock()
	n := w.nodes[id]
	delete(w.nodes, id)
	w.mu.Unlock()
	if n == nil {
		return
	}
	n.dead.Store(true)
	w.endNode(n, w.chance.pick("fate", 6))
	time.Sleep(w.chance.millis("fate", 30))
	if w.chance.pick("fate", 3) > 0 {
		w.controller.fence(id)
		time.Sleep(w.chance.millis("fate", 100))
		w.loseDisk(id)
	}
	w.start(id)
}

// endNode lets a node go: how is 0 for a stop in order, 1 for a process that is killed,
// and else for a power cut. Its disk is as that left it.
func (w *simWorld) endNode(n *simNode, how int) {
	r := w.chance.stream(fmt.Sprint("power cut of ", n.id))
	w.mu.Lock() // so that nothing counts any more once the disk is what it is
	switch how {
	case 0:
	case 1:
		w.disks[n.id] = n.disk.Kill()
	default:
		w.disks[n.id] = n.disk.Crash(r)
	}
	w.mu.Unlock()
	n.end()
}

// loseDisk may give a node that is down, and was taken out of every ISR that has
// another, an empty disk.
func (w *simWorld) loseDisk(id int32) {
	if w.chance.pick("fate", 4) == 0 && w.controller.needless(id) {
		w.disks[id] = disk.NewMemory()
	}
}

// leader returns the replica of a slot that says it leads, nil where none does.
func (w *simWorld) leader(slot int) *simReplica {
	for id := int32(1); id <= simNodes; id++ {
		if n := w.node(id); n != nil {
			if r := n.replica(slot); r != nil && r.Leads() {
				return r
			}
		}
	}
	return nil
}

// deleteSome moves a log's start.
func (w *simWorld) deleteSome(slot int) {
	p := w.leader(slot)
	if p == nil {
		return
	}
	if before := (p.Log().Start() + p.HighWatermark()) / 2; before > 0 {
		_, _ = p.DeleteRecords(before)
	}
}

// mend lets all links work and waits until the replicas are in sync. It reports
// whether they are.
func (w *simWorld) mend() bool {
	w.mu.Lock()
	clear(w.cut)
	w.mu.Unlock()
	close(w.over)
	w.clients.Wait()
	for began := time.Now(); !w.inSync(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			w.t.Errorf("after half a minute of peace they are not in sync: %s", w.describe())
			return false
		}
	}
	return true
}

func (w *simWorld) inSync() bool {
	for i := range simSlots {
		a := w.controller.partition(i)
		if a.Leader < 0 || len(a.Replicas) != 3 || len(without(a.Replicas, a.ISR)) > 0 {
			return false
		}
		leader := w.node(a.Leader).replica(i)
		if leader == nil || !leader.Leads() {
			return false
		}
		end := leader.Log().End()
		for _, id := range a.Replicas {
			r := w.node(id).replica(i)
			if r == nil || r.TopicID != a.id || r.Log().End() != end || r.HighWatermark() != end || r.Log().Start() < leader.Log().Start() {
				return false
			}
		}
	}
	return true
}

func (w *simWorld) describe() (all string) {
	for i := range simSlots {
		a := w.controller.partition(i)
		all += fmt.Sprintf("\n%s: %+v", a.tp, a)
		for id := int32(1); id <= simNodes; id++ {
			r := w.node(id).replica(i)
			if r == nil {
				continue
			}
			all += fmt.Sprintf("\n  node %d: %d to %d, flushed %d, high watermark %d, leader epoch %d, leads: %v, failed: %v", id,
				r.Log().Start(), r.Log().End(), r.Log().Flushed(), r.HighWatermark(), r.LeaderEpoch(), r.Leads(), r.Log().Failed())
			if lead := r.leading.Load(); lead != nil {
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

// stop ends all nodes as they are.
func (w *simWorld) stop() {
	for id := int32(1); id <= simNodes; id++ {
		w.node(id).end()
	}
	w.tasks.Wait()
}

// nodesOf returns the brokers that have a partition, in their order.
func nodesOf(p modelPartition) []int32 { return slices.Sorted(slices.Values(p.Replicas)) }
