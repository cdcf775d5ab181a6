package quorum

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol/node"
	"github.com/klamm-io/klamm/storage/disk"
)

// watch runs an observer of the voters until the test's end.
func (v *voters) watch(id int32) *Observer {
	c := ObserverConfig{NodeID: id, ClusterID: small.ClusterID}
	for _, voter := range v.ids() {
		c.Voters = append(c.Voters, metadata.Voter{ID: voter})
	}
	o := NewObserver(c, ObserverDeps{
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Read: func(ctx context.Context, voter int32, req *node.ReadMetadataRequest) (*node.ReadMetadataResponse, error) {
			return v.read(ctx, id, voter, req)
		},
	})
	o.Observe(func(img *metadata.Image, _ *metadata.Delta) { v.observe(id, &o.knowledge, img) })
	ctx, cancel := context.WithCancel(v.t.Context())
	v.watchers.Go(func() {
		if err := o.Run(ctx); err != nil {
			v.t.Errorf("observer %d: %v", id, err)
		}
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stop[id] = cancel
	return o
}

var errNoRoute = errors.New("nobody answers")

// read carries a request to a voter, and its answer back, as the net between them
// does: a link that is cut lets nothing through, but does not say so.
func (v *voters) read(ctx context.Context, from, to int32, req *node.ReadMetadataRequest) (*node.ReadMetadataResponse, error) {
	v.mu.Lock()
	n, lost, delay := v.nodes[to], v.cut[[2]int32{from, to}] || v.lose(), v.delay()
	v.mu.Unlock()
	if lost {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if n == nil {
		return nil, errNoRoute
	}
	time.Sleep(delay)
	resp := n.ReadMetadata(ctx, req)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	over := new(node.ReadMetadataResponse)
	return over, over.ReadFrom(resp.AppendTo(nil))
}

// requireSeen waits until an observer has what a voter has.
func (v *voters) requireSeen(o *Observer, voter int32) {
	v.t.Helper()
	n := v.nodes[voter]
	ctx, cancel := context.WithTimeout(v.t.Context(), 10*time.Second)
	defer cancel()
	if err := o.AwaitApplied(ctx, n.Applied()); err != nil {
		v.t.Fatalf("the observer is at %d, voter %d at %d: %v", o.Applied(), voter, n.Applied(), err)
	}
	if o.Applied() == n.Applied() && !bytes.Equal(encoded(o.Image()), encoded(n.Image())) {
		v.t.Errorf("the observer has another image than voter %d", voter)
	}
}

// An observer has each decision soon after it was taken, and knows who leads.
func TestObserverFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoters(t, 7, 1, 2, 3)
		o := v.watch(10)
		time.Sleep(3 * time.Second) // nobody is there to ask
		for _, id := range v.ids() {
			v.begin(id)
		}
		defer v.end()
		v.handSomewhere(5 * time.Second)
		v.requireSeen(o, 1)
		leader, epoch := v.nodes[1].Leader()
		for range 100 {
			v.handSomewhere(time.Second)
			time.Sleep(5 * time.Millisecond)
			if o.Applied() < v.nodes[leader].Applied() {
				t.Fatalf("the observer is at %d, 5 ms after the leader was at %d", o.Applied(), v.nodes[leader].Applied())
			}
		}
		if id, at := o.Leader(); id != leader || at != epoch || len(o.Voters()) != 3 {
			t.Errorf("node %d leads in epoch %d, the observer believes %d in %d, of %v", leader, epoch, id, at, o.Voters())
		}
		s, err := v.nodes[leader].Status()
		if err != nil || len(s.Observers) != 1 || s.Observers[0].ID != 10 || s.Observers[0].LogEnd != s.HighWatermark || s.Observers[0].LastCaughtUp.IsZero() {
			t.Errorf("%v: observers %+v of a log that ends at %d", err, s.Observers, s.HighWatermark)
		}
	})
}

// An observer that comes when a snapshot has replaced the log's beginning is sent
// one; and one that comes back after it was cut off has what it missed.
func TestObserverIsSentASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoters(t, 8, 1)
		v.begin(1)
		defer v.end()
		first := v.watch(10)
		v.requireSeen(first, 1)
		v.mu.Lock()
		v.cut[[2]int32{10, 1}] = true
		v.mu.Unlock()
		for range 1000 {
			v.handSomewhere(time.Second)
		}
		if start, _ := v.nodes[1].replica.storage.FirstIndex(); start < uint64(first.Applied())+2 {
			t.Fatalf("the log begins at %d: no snapshot took its place", start)
		}
		v.requireSeen(v.watch(11), 1)
		v.mu.Lock()
		clear(v.cut)
		v.mu.Unlock()
		v.requireSeen(first, 1)
	})
}

// When the leader's process is gone an observer hears at once from the next leader
// of it; when the leader only stands still, within its own time-out more.
func TestObserverFindsTheNextLeader(t *testing.T) {
	for _, gone := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			v := newVoters(t, 9, 1, 2, 3)
			for _, id := range v.ids() {
				v.begin(id)
			}
			defer v.end()
			v.handSomewhere(5 * time.Second)
			o := v.watch(10)
			v.requireSeen(o, 1)
			leader, epoch := o.Leader()
			began := time.Now()
			most := 400 * time.Millisecond
			if gone {
				v.kill(leader)
				for _, n := range v.nodes {
					n.Unreachable(leader)
				}
			} else {
				v.isolate(leader)
				most = 3 * time.Second
			}
			next, now := leader, epoch
			var err error
			for next == leader || next < 0 {
				if next, now, err = o.AwaitLeaderChange(t.Context(), next, now); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took > most {
				t.Errorf("gone=%t: %s until the observer knows the next leader, want %s at most", gone, took, most)
			}
		})
	}
}

// Whatever happens to the voters and the links, an observer sees what they see, in
// one order.
func TestObserverSurvives(t *testing.T) {
	for seed := range uint64(10) {
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
			o := v.watch(10)
			rng := rand.New(rand.NewPCG(seed, 4))
			v.noise(seed)
			for range 20 {
				v.disturb(rng)
				v.mu.Lock()
				v.cut[[2]int32{10, int32(rng.IntN(4))}] = true
				v.mu.Unlock()
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
			v.requireSeen(o, 1)
		})
	}
}

// What cannot be followed ends the observer with a sentence that says why.
func TestObserverRefuses(t *testing.T) {
	n := mustOpen(t, disk.NewMemory(), small)
	defer n.mustStop(t)
	for name, c := range map[string]struct {
		cluster string
		answer  func(*node.ReadMetadataRequest) *node.ReadMetadataResponse
		want    string
	}{
		"another cluster": {"d", func(req *node.ReadMetadataRequest) *node.ReadMetadataResponse {
			return n.ReadMetadata(t.Context(), req)
		}, "of cluster c"},
		"a hole": {"c", func(*node.ReadMetadataRequest) *node.ReadMetadataResponse {
			return &node.ReadMetadataResponse{Entries: []node.Entry{{Index: 2, Term: 1}}}
		}, "follows entry 0"},
		"a newer version": {"c", func(*node.ReadMetadataRequest) *node.ReadMetadataResponse {
			return &node.ReadMetadataResponse{Entries: []node.Entry{{Index: 1, Term: 1, Decision: []byte{4, 1, 9, 9, 0}}}}
		}, "version"},
		"a level that this node cannot be at": {"c", func(*node.ReadMetadataRequest) *node.ReadMetadataResponse {
			decision := metadata.EncodeDecision(nil, []metadata.Record{&metadata.FeatureLevelSet{Name: "klamm.version", Level: 3}})
			return &node.ReadMetadataResponse{Entries: []node.Entry{{Index: 1, Term: 1, Decision: decision}}}
		}, "at level 3 of klamm.version, this version of Klamm can be at 1 to 2: run"},
		"a feature that this node does not know": {"c", func(*node.ReadMetadataRequest) *node.ReadMetadataResponse {
			decision := metadata.EncodeDecision(nil, []metadata.Record{&metadata.FeatureLevelSet{Name: "new.version", Level: 1}})
			return &node.ReadMetadataResponse{Entries: []node.Entry{{Index: 1, Term: 1, Decision: decision}}}
		}, "at level 1 of new.version, which this version of Klamm does not know: run"},
		"half a snapshot": {"c", func(*node.ReadMetadataRequest) *node.ReadMetadataResponse {
			return &node.ReadMetadataResponse{Snapshot: []byte("abc")}
		}, "a snapshot"},
	} {
		o := NewObserver(ObserverConfig{NodeID: 9, ClusterID: c.cluster, Features: []metadata.FeatureRange{{Name: "klamm.version", Min: 1, Max: 2}}, Voters: []metadata.Voter{{ID: 1}}}, ObserverDeps{
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Read: func(_ context.Context, _ int32, req *node.ReadMetadataRequest) (*node.ReadMetadataResponse, error) {
				return c.answer(req), nil
			},
		})
		if err := o.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := o.AwaitApplied(t.Context(), 1000); !errors.Is(err, kerr.NotController) {
			t.Errorf("%s: after the end: %v", name, err)
		}
	}
}

// A voter answers at once where it has more, else when a decision was taken or the
// wait is over; and one that has left the quorum says so.
func TestReadMetadataWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := mustOpen(t, disk.NewMemory(), small)
		s := n.state.Load()
		all := &node.ReadMetadataRequest{NodeID: 9, Index: int64(s.index), Term: int64(s.term), MaxWaitMillis: 1000, MaxBytes: 1}
		began := time.Now()
		if resp := n.ReadMetadata(t.Context(), all); time.Since(began) != time.Second || len(resp.Entries) > 0 || resp.ErrorCode != 0 || resp.LeaderID != 1 {
			t.Errorf("nothing new: %+v after %s", resp, time.Since(began))
		}
		answer := make(chan *node.ReadMetadataResponse, 1)
		go func() { answer <- n.ReadMetadata(t.Context(), all) }()
		synctest.Wait()
		began = time.Now()
		for range 3 {
			mustPropose(t, n, nextIDs)
		}
		if resp := <-answer; time.Since(began) > 100*time.Millisecond || len(resp.Entries) == 0 || resp.Entries[0].Index != all.Index+1 {
			t.Errorf("a decision: %+v after %s", resp, time.Since(began))
		}
		if resp := n.ReadMetadata(t.Context(), all); len(resp.Entries) != 1 || resp.HighWatermark != n.Applied() {
			t.Errorf("one byte at most is one entry: %+v", resp)
		}
		all.Term++
		if resp := n.ReadMetadata(t.Context(), all); resp.Snapshot == nil || len(resp.Entries) > 0 {
			t.Errorf("who has another entry in that place gets a snapshot: %+v", resp)
		}
		n.mustStop(t)
		all.Index = n.Applied()
		if resp := n.ReadMetadata(t.Context(), all); resp.ErrorCode != kerr.NotController.Code {
			t.Errorf("after the stop: %+v", resp)
		}
	})
}
