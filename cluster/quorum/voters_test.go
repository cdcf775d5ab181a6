package quorum

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/storage/disk"
)

// voters are the nodes of one quorum, their disks and the net between them. It
// runs in a synctest bubble.
type voters struct {
	t     testing.TB
	rng   *rand.Rand
	disks map[int32]*disk.Memory
	named []metadata.Voter // who begins the cluster; by default all nodes, without their directories

	watchers  sync.WaitGroup // observers that run
	lostDisks int

	mu    sync.Mutex
	nodes map[int32]*member            // guarded by mu: those that run
	cut   map[[2]int32]bool            // guarded by mu: links that lose everything
	delay func() time.Duration         // of a message; guarded by mu
	slow  map[[2]int32]time.Duration   // what messages take longer on a link; guarded by mu
	lose  func() bool                  // guarded by mu
	drop  func(message []byte) bool    // guarded by mu: what never arrives
	acked map[int64]int32              // guarded by mu: first producer id of each block that was handed out, and by whom
	seen  map[uint64][]byte            // guarded by mu: the image at each index, on whichever node came first
	stop  map[int32]context.CancelFunc // guarded by mu
	twins map[int32][]*member          // guarded by mu: processes that are all reached as one node
}

func newVoters(t testing.TB, seed uint64, ids ...int32) *voters {
	v := &voters{
		t: t, rng: rand.New(rand.NewPCG(seed, 9)), disks: map[int32]*disk.Memory{}, nodes: map[int32]*member{}, cut: map[[2]int32]bool{},
		delay: func() time.Duration { return time.Millisecond }, lose: func() bool { return false }, drop: func([]byte) bool { return false },
		acked: map[int64]int32{}, seen: map[uint64][]byte{}, stop: map[int32]context.CancelFunc{},
	}
	for _, id := range ids {
		v.wipe(id)
		v.named = append(v.named, metadata.Voter{ID: id})
	}
	return v
}

// wipe gives a node that does not run an empty disk.
func (v *voters) wipe(id int32) {
	v.disks[id] = disk.NewMemory()
	if err := errors.Join(v.disks[id].Mkdir("/data"), v.disks[id].SyncDir("/")); err != nil {
		v.t.Fatal(err)
	}
}

func (v *voters) ids() (ids []int32) {
	for id := range v.disks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (v *voters) begin(id int32) {
	c := small
	c.NodeID = id
	c.Voters = v.named
	n, err := openNodeTo(v.disks[id], c, func(to int32, m []byte) { v.send(id, to, m) })
	if err != nil {
		v.t.Fatalf("node %d: %v", id, err)
	}
	n.Observe(func(img *metadata.Image, _ *metadata.Delta) { v.observe(id, &n.knowledge, img) })
	ctx, cancel := context.WithCancel(v.t.Context())
	go n.Run(ctx)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.nodes[id], v.stop[id] = n, cancel
}

// observe holds that all nodes see the same image at the same index.
func (v *voters) observe(id int32, k *knowledge, img *metadata.Image) {
	index := k.state.Load().index
	got := encoded(img)
	v.mu.Lock()
	defer v.mu.Unlock()
	if want, known := v.seen[index]; known && !bytes.Equal(got, want) {
		v.t.Errorf("node %d has another image at index %d", id, index)
	}
	v.seen[index] = got
}

func (v *voters) send(from, to int32, m []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cut[[2]int32{from, to}] || v.lose() || v.drop(m) {
		return
	}
	time.AfterFunc(v.delay()+v.slow[[2]int32{from, to}], func() {
		v.mu.Lock()
		n, twins := v.nodes[to], v.twins[to]
		v.mu.Unlock()
		if n != nil && twins == nil {
			twins = []*member{n}
		}
		for _, n := range twins {
			_ = n.Receive(m)
		}
	})
}

// kill ends a node as a power cut does.
func (v *voters) kill(id int32) {
	v.mu.Lock()
	n, stop := v.nodes[id], v.stop[id]
	delete(v.nodes, id)
	after := v.disks[id].Crash(v.rng)
	v.mu.Unlock()
	if n == nil {
		return
	}
	stop()
	n.stop()
	v.disks[id] = after
}

// hand lets one node hand out a block of producer ids, which must be new.
func (v *voters) hand(id int32) error {
	v.mu.Lock()
	n := v.nodes[id]
	v.mu.Unlock()
	if n == nil {
		return kerr.NotController
	}
	ctx, cancel := context.WithTimeout(v.t.Context(), 5*time.Second)
	defer cancel()
	first := int64(-1)
	_, err := n.Propose(ctx, func(img *metadata.Image) ([]metadata.Record, error) {
		first = img.NextProducerID
		return []metadata.Record{&metadata.ProducerIDsAllocated{Next: first + 10}}, nil
	})
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if by, twice := v.acked[first]; twice {
		v.t.Errorf("ids from %d were handed out twice, by nodes %d and %d", first, by, id)
	}
	v.acked[first] = id
	return nil
}

// handSomewhere tries every node until one hands out a block.
func (v *voters) handSomewhere(within time.Duration) time.Duration {
	v.t.Helper()
	for began := time.Now(); time.Since(began) < within; time.Sleep(10 * time.Millisecond) {
		for _, id := range v.ids() {
			if v.hand(id) == nil {
				return time.Since(began)
			}
		}
	}
	v.t.Errorf("nobody decides within %s", within)
	return within
}

// agree waits until all nodes have one image, and holds it against what was
// acknowledged.
func (v *voters) agree() {
	v.t.Helper()
	for range 1000 {
		var images []string
		for _, id := range v.ids() {
			images = append(images, string(encoded(v.nodes[id].Image())))
		}
		if len(slices.Compact(images)) == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, id := range v.ids() {
		img := v.nodes[id].Image()
		if !bytes.Equal(encoded(img), encoded(v.nodes[v.ids()[0]].Image())) {
			v.t.Errorf("node %d has another image than node %d", id, v.ids()[0])
		}
		for first := range v.acked {
			if first >= img.NextProducerID {
				v.t.Errorf("node %d forgot that ids from %d were handed out; the next is %d", id, first, img.NextProducerID)
			}
		}
	}
}

// end ends all nodes, and the observers first.
func (v *voters) end() {
	for id, stop := range v.stop {
		if _, votes := v.disks[id]; !votes {
			stop()
		}
	}
	v.watchers.Wait()
	for _, id := range v.ids() {
		v.kill(id)
	}
}

// isolate cuts all links of a node.
func (v *voters) isolate(id int32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for other := range int32(20) {
		v.cut[[2]int32{id, other}], v.cut[[2]int32{other, id}] = true, true
	}
}

func TestVotersDecideTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoters(t, 1, 0, 1, 2)
		for _, id := range v.ids() {
			v.begin(id)
		}
		defer v.end()
		v.handSomewhere(5 * time.Second)
		for range 200 {
			v.handSomewhere(time.Second)
		}
		leaders := 0
		for _, id := range v.ids() {
			if leader, _ := v.nodes[id].Leader(); leader == id {
				leaders++
			} else if err := v.hand(id); !errors.Is(err, kerr.NotController) {
				t.Errorf("node %d does not lead and decides: %v", id, err)
			}
		}
		if leaders != 1 {
			t.Errorf("%d nodes lead", leaders)
		}
		v.agree()
		if got := fmt.Sprint(v.nodes[0].Voters()); got != fmt.Sprint(v.nodes[0].config.Voters) {
			t.Errorf("the voters agreed on are %s", got)
		}
	})
}

// How long nobody decides when the leader is gone: the others are told that nobody
// listens there any more, or only miss it.
func TestLeaderIsGone(t *testing.T) {
	for _, c := range []struct {
		nodes int32
		told  bool
		most  time.Duration
	}{{3, true, 300 * time.Millisecond}, {5, true, 300 * time.Millisecond}, {3, false, 1400 * time.Millisecond}, {5, false, 1400 * time.Millisecond}} {
		t.Run(fmt.Sprintf("nodes=%d,told=%t", c.nodes, c.told), func(t *testing.T) {
			longest := time.Duration(0)
			for seed := range uint64(20) {
				longest = max(longest, withoutLeader(t, seed, c.nodes, c.told))
			}
			t.Logf("nobody decided for %s at most", longest)
			if longest > c.most {
				t.Errorf("want %s", c.most)
			}
		})
	}
}

// withoutLeader takes the leader away and returns how long nobody decided.
func withoutLeader(t *testing.T, seed uint64, nodes int32, told bool) time.Duration {
	var took atomic.Int64
	synctest.Test(t, func(t *testing.T) {
		v := newVoters(t, seed, []int32{1, 2, 3, 4, 5}[:nodes]...)
		defer v.end()
		for _, id := range v.ids() {
			v.begin(id)
		}
		v.handSomewhere(5 * time.Second)
		rng := rand.New(rand.NewPCG(seed, 3))
		for range rng.IntN(4) { // another one leads
			v.kill(v.leader().config.NodeID)
			v.handSomewhere(5 * time.Second)
			for _, id := range v.ids() {
				if v.nodes[id] == nil {
					v.begin(id)
				}
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
		leader := v.leader().config.NodeID
		if told {
			v.kill(leader)
			for _, n := range v.nodes {
				time.AfterFunc(time.Duration(rng.IntN(5))*time.Millisecond, func() { n.Unreachable(leader) })
			}
		} else {
			v.isolate(leader)
		}
		began := time.Now()
		for _, n := range v.nodes {
			go func() {
				for t.Context().Err() == nil && n.config.NodeID != leader && took.Load() == 0 {
					if _, err := n.AwaitLead(t.Context()); err == nil && v.hand(n.config.NodeID) == nil {
						took.Store(int64(time.Since(began)))
					}
				}
			}()
		}
		for took.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
	})
	return time.Duration(took.Load())
}

// A voter that missed what a snapshot replaced gets the snapshot.
func TestVoterIsSentASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoters(t, 3, 1, 2, 3)
		v.begin(1)
		v.begin(2)
		defer v.end()
		v.handSomewhere(5 * time.Second)
		for range 1000 {
			v.handSomewhere(time.Second)
		}
		leader, _ := v.nodes[1].Leader()
		if first, _ := v.nodes[leader].replica.storage.FirstIndex(); first < 100 {
			t.Fatalf("the leader's log begins at %d: no snapshot took its place", first)
		}
		v.begin(3)
		time.Sleep(3 * time.Second)
		v.agree()
		v.kill(3)
		v.begin(3)
		time.Sleep(3 * time.Second)
		v.agree()
	})
}

// Whatever nodes die, links break and messages are lost or late: what was decided
// stays, on every node, in one order.
func TestVotersSurvive(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			v := newVoters(t, seed, 1, 2, 3)
			for _, id := range v.ids() {
				v.begin(id)
			}
			defer v.end()
			rng := rand.New(rand.NewPCG(seed, 4))
			v.noise(seed)
			for range 30 {
				v.disturb(rng)
				for range rng.IntN(20) {
					for _, id := range v.ids() {
						_ = v.hand(id)
					}
				}
				time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
			}
			v.heal()
			v.handSomewhere(30 * time.Second)
			time.Sleep(5 * time.Second)
			v.agree()
		})
	}
}

// noise lets messages be late and lost.
func (v *voters) noise(seed uint64) {
	noise := rand.New(rand.NewPCG(seed, 5))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.delay = func() time.Duration { return time.Duration(noise.IntN(20)) * time.Millisecond }
	v.lose = func() bool { return noise.IntN(20) == 0 }
}

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

func (v *voters) disturb(rng *rand.Rand) {
	id := v.ids()[rng.IntN(len(v.disks))]
	other := v.ids()[rng.IntN(len(v.disks))]
	switch rng.IntN(4) {
	case 0:
		v.kill(id)
	case 1:
		if v.nodes[id] == nil {
			v.begin(id)
		}
	case 2:
		v.mu.Lock()
		v.cut[[2]int32{id, other}] = true
		v.mu.Unlock()
	case 3:
		v.mu.Lock()
		clear(v.cut)
		v.mu.Unlock()
	}
}

func (v *voters) heal() {
	v.mu.Lock()
	clear(v.cut)
	v.lose = func() bool { return false }
	v.mu.Unlock()
	for _, id := range v.ids() {
		if v.nodes[id] == nil {
			v.begin(id)
		}
	}
}
