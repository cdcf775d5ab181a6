package quorum

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/storage/disk"
)

// requireVotes waits until the given nodes vote, each with the disk that it has.
func (v *voters) requireVotes(within time.Duration, ids ...int32) {
	v.t.Helper()
	var got []metadata.Voter
	for began := time.Now(); time.Since(began) < within; time.Sleep(10 * time.Millisecond) {
		for _, id := range ids {
			if n := v.nodes[id]; n != nil && n.Image().ClusterID != "" {
				got = n.Voters()
			}
		}
		if len(got) == len(ids) && !slices.ContainsFunc(got, func(g metadata.Voter) bool { return !v.votes(g) }) {
			return
		}
	}
	v.t.Errorf("after %s the voters are %v", within, got)
}

// votes reports whether a voter is a node as it runs.
func (v *voters) votes(g metadata.Voter) bool {
	n := v.nodes[g.ID]
	if n == nil || n.Image().ClusterID == "" {
		return false
	}
	s, err := n.askRaft()
	return err == nil && s.ID == raftIDOf(g)
}

// Nodes that begin together have a leader at once: none waits for a time-out.
func TestBirth(t *testing.T) {
	for _, ids := range [][]int32{{1, 2}, {1, 2, 3}, {1, 2, 3, 4, 5}} {
		synctest.Test(t, func(t *testing.T) {
			v := newVoters(t, 1, ids...)
			defer v.end()
			for _, id := range ids {
				began := time.Now()
				v.begin(id)
				if took := time.Since(began); took > 0 {
					t.Errorf("Open has waited for %s", took)
				}
				if leader, _ := v.nodes[id].Leader(); leader != -1 {
					t.Errorf("node %d leads when node %d begins", leader, id)
				}
				time.Sleep(300 * time.Millisecond)
			}
			if took := v.handSomewhere(time.Second); took > 100*time.Millisecond {
				t.Errorf("%d nodes have a leader %s after the last one began", len(ids), 300*time.Millisecond+took)
			}
			for _, id := range ids {
				img := v.nodes[id].Image()
				if img.ClusterID != small.ClusterID || fmt.Sprint(votersOf(img, nil)) != fmt.Sprint(v.named) {
					t.Errorf("cluster %q with %v, want %v", img.ClusterID, votersOf(img, nil), v.named)
				}
			}
			v.agree()
		})
	}
}

// However late messages are between nodes that begin within a moment, all of them
// are there from the beginning: none has to be taken in.
func TestBirthOverSlowLinks(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			v := newVoters(t, seed, 1, 2, 3)
			defer v.end()
			rng := rand.New(rand.NewPCG(seed, 1))
			v.slow = map[[2]int32]time.Duration{}
			for _, from := range v.ids() {
				for _, to := range v.ids() {
					v.slow[[2]int32{from, to}] = time.Duration(rng.IntN(300)) * time.Millisecond
				}
			}
			for _, i := range rng.Perm(3) {
				v.begin(v.ids()[i])
				time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
			}
			v.handSomewhere(10 * time.Second)
			time.Sleep(3 * time.Second)
			for id, n := range v.nodes {
				if s, err := n.askRaft(); err != nil || s.ID != raftID(id, [16]byte{}) {
					t.Errorf("seed %d: node %d has come late", seed, id)
				}
			}
			v.agree()
		})
	}
}

// Most voters begin without the others, after they have waited for them; one that
// comes later is taken in with its disk.
func TestBirthWithoutAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoters(t, 1, 1, 2, 3)
		defer v.end()
		v.begin(2)
		time.Sleep(10 * time.Second)
		if img := v.nodes[2].Image(); img.ClusterID != "" {
			t.Error("one of three begins a cluster")
		}
		v.begin(3)
		took := v.handSomewhere(10 * time.Second)
		t.Logf("two of three lead after %s", took)
		if took > 6*time.Second {
			t.Errorf("two of three have no leader for %s", took)
		}
		began := time.Now()
		v.begin(1)
		v.requireVotes(3*time.Second, 1, 2, 3)
		t.Logf("the third votes after %s", time.Since(began))
		v.kill(2)
		v.handSomewhere(5 * time.Second)
		v.begin(2)
		time.Sleep(3 * time.Second)
		v.agree()
	})
}

// A voter that lost its disk comes back as another one, as often as it happens, and
// is as good as before.
func TestVoterLosesItsDisk(t *testing.T) {
	for _, snapshots := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			v := newVoters(t, 3, 1, 2, 3)
			defer v.end()
			for _, id := range v.ids() {
				v.begin(id)
			}
			v.handSomewhere(5 * time.Second)
			for round, id := range []int32{1, 2, 3, 3, 1} {
				for range map[bool]int{false: 5, true: 500}[snapshots] {
					v.handSomewhere(time.Second)
				}
				v.kill(id)
				v.wipe(id)
				v.handSomewhere(3 * time.Second)
				v.begin(id)
				v.requireVotes(3*time.Second, 1, 2, 3)
				other := id%3 + 1
				v.kill(other) // the leader needs the new one
				v.handSomewhere(5 * time.Second)
				v.begin(other)
				time.Sleep(3 * time.Second)
				v.agree()
				if t.Failed() {
					t.Fatalf("round %d, node %d", round, id)
				}
			}
		})
	}
}

// A node whose disk is empty has no say before the others have agreed on it: what was
// decided by it and one other is not lost while that one is away, even if the others
// do not answer what it asks.
func TestEmptyVoterHasNoSay(t *testing.T) {
	for _, unasked := range []bool{false, true} {
		testEmptyVoterHasNoSay(t, unasked)
	}
}

func testEmptyVoterHasNoSay(t *testing.T, unasked bool) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoters(t, 4, 1, 2, 3)
		defer v.end()
		for _, id := range v.ids() {
			v.begin(id)
		}
		v.handSomewhere(5 * time.Second)
		time.Sleep(time.Second)
		leader, _ := v.nodes[1].Leader()
		lost, behind := leader%3+1, (leader+1)%3+1
		v.kill(behind)
		v.handSomewhere(time.Second) // the leader and lost have it, behind has not
		v.kill(leader)
		v.kill(lost)
		v.wipe(lost)
		time.Sleep(time.Second) // what was under way to it arrives nowhere
		if unasked {
			v.mu.Lock()
			v.drop = func(m []byte) bool { return m[0] == newMessage || m[0] == existsMessage }
			v.mu.Unlock()
		}
		v.begin(lost)
		v.begin(behind)
		for range 20 {
			time.Sleep(time.Second)
			if v.hand(lost) == nil || v.hand(behind) == nil {
				t.Fatal("nobody who decides knows what was decided last")
			}
		}
		v.begin(leader)
		v.handSomewhere(5 * time.Second)
		v.requireVotes(5*time.Second, 1, 2, 3)
		v.agree()
	})
}

// A voter that had its say in the first election and heard nothing since is as empty
// as a new one, but the cluster may have begun without it: a new one does not help it.
func TestEmptyVoterDoesNotHelpAnOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoters(t, 10, 1, 2, 3)
		defer v.end()
		v.drop = func(b []byte) bool {
			m, err := decodeMessage(b, small.ClusterID)
			return err == nil && m.raft != nil && nodeOf(m.raft.GetTo()) == 3 && m.raft.GetType() != raftpb.MsgPreVote && m.raft.GetType() != raftpb.MsgVote
		}
		for _, id := range v.ids() {
			v.begin(id)
		}
		v.handSomewhere(5 * time.Second)
		if last, _ := v.nodes[3].replica.storage.LastIndex(); last > 0 {
			t.Fatal("node 3 has heard of decisions")
		}
		v.kill(1)
		v.kill(2)
		v.wipe(2)
		time.Sleep(time.Second)
		v.mu.Lock()
		v.drop = func([]byte) bool { return false }
		v.mu.Unlock()
		v.begin(2)
		for range 20 {
			time.Sleep(time.Second)
			if v.hand(2) == nil || v.hand(3) == nil {
				t.Fatal("nobody who decides knows what was decided")
			}
		}
		v.begin(1)
		v.handSomewhere(5 * time.Second)
		v.requireVotes(5*time.Second, 1, 2, 3)
		v.agree()
	})
}

// A process that runs with another's id and a disk of its own does not take its place.
func TestTwoProcessesOfOneID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoters(t, 5, 1, 2, 3)
		defer v.end()
		for _, id := range v.ids() {
			v.begin(id)
		}
		v.handSomewhere(5 * time.Second)
		time.Sleep(time.Second)
		leader, _ := v.nodes[1].Leader()
		twin := leader%3 + 1
		first, kept := v.nodes[twin], v.disks[twin]
		v.wipe(twin)
		v.begin(twin)
		second := v.nodes[twin]
		v.mu.Lock()
		v.twins = map[int32][]*member{twin: {first, second}}
		v.mu.Unlock()
		time.Sleep(10 * time.Second)
		if got, ok := v.nodes[leader].Image().Voter(twin); !ok || got.DirectoryID != [16]byte{} {
			t.Errorf("the twin is voter %v", got)
		}
		v.kill(twin)
		v.mu.Lock()
		v.twins, v.nodes[twin], v.disks[twin] = nil, first, kept
		v.mu.Unlock()
		v.handSomewhere(5 * time.Second)
		time.Sleep(time.Second)
		v.agree()
	})
}

// Whatever nodes die, links break and messages are lost or late, and though one node
// after the other loses its disk: what was decided stays.
func TestVotersSurviveLostDisks(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			v := newVoters(t, seed, []int32{1, 2, 3, 4, 5}[:3+2*(seed%2)]...)
			defer v.end()
			for _, id := range v.ids() {
				v.begin(id)
			}
			v.handSomewhere(10 * time.Second)
			time.Sleep(time.Second)
			rng := rand.New(rand.NewPCG(seed, 4))
			v.noise(seed)
			for range 40 {
				v.disturb(rng)
				if rng.IntN(4) == 0 {
					v.loseDisk(v.ids()[rng.IntN(len(v.disks))])
				}
				for range rng.IntN(20) {
					for _, id := range v.ids() {
						_ = v.hand(id)
					}
				}
				time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
			}
			v.heal()
			v.handSomewhere(30 * time.Second)
			v.requireVotes(30*time.Second, v.ids()...)
			time.Sleep(5 * time.Second)
			v.agree()
			t.Logf("%d disks were lost", v.lostDisks)
		})
	}
}

// loseDisk lets a node come back with an empty disk, unless another one has not come
// back with its own yet: more than that a quorum of three does not survive.
func (v *voters) loseDisk(id int32) {
	newest := int64(-1)
	var agreed []metadata.Voter
	for _, n := range v.nodes {
		if n.Applied() > newest {
			newest, agreed = n.Applied(), n.Voters()
		}
	}
	if len(agreed) != len(v.disks) || slices.ContainsFunc(agreed, func(g metadata.Voter) bool { return g.ID != id && !v.votes(g) }) {
		return
	}
	v.kill(id)
	v.wipe(id)
	v.begin(id)
	v.lostDisks++
}

// What comes from another cluster or is for another node is not listened to.
func TestForeignMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoters(t, 6, 1, 2, 3)
		defer v.end()
		for _, id := range v.ids() {
			v.begin(id)
		}
		v.handSomewhere(5 * time.Second)
		var sent []byte
		foreign := &replica{quorum: &Quorum{config: Config{NodeID: 2, ClusterID: "d"}}, send: func(_ int32, _ []metadata.Endpoint, m []byte) { sent = m }}
		foreign.quorum.begin(&state{image: metadata.Empty()})
		foreign.post(1, newMessage, nil)
		if err := v.nodes[1].Receive(sent); err == nil {
			t.Error("of another cluster")
		}
		for n := range sent {
			_ = v.nodes[1].Receive(sent[:n]) // must not panic
		}
		foreign.quorum.config.ClusterID = small.ClusterID
		foreign.post(1, joinMessage, metadata.Encode(nil, &metadata.VoterJoining{Voter: metadata.Voter{ID: 3}}))
		if err := v.nodes[1].Receive(sent); err == nil {
			t.Error("one node asks for another's vote")
		}
	})
}

// A folder that is brought back as it was some time ago lacks what its node has said
// since: it is another voter's too, however often it happens.
func TestOldFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoters(t, 7, 1, 2, 3)
		defer v.end()
		for _, id := range v.ids() {
			v.begin(id)
		}
		v.handSomewhere(5 * time.Second)
		for range 3 {
			time.Sleep(time.Second)
			leader, _ := v.nodes[1].Leader()
			id := leader%3 + 1
			v.kill(id)
			backup := v.disks[id].Crash(v.rng)
			v.begin(id)
			time.Sleep(time.Second)
			for range 20 {
				v.handSomewhere(time.Second)
			}
			time.Sleep(time.Second)
			before, _ := v.nodes[id].Image().Voter(id)
			v.kill(id)
			v.disks[id] = backup
			v.begin(id)
			time.Sleep(3 * time.Second)
			v.requireVotes(time.Second, 1, 2, 3)
			if after, _ := v.nodes[id].Image().Voter(id); after.DirectoryID == before.DirectoryID {
				t.Errorf("node %d is the voter that it was", id)
			}
			v.kill(id)
			v.begin(id)
			v.agree()
		}
	})
}

// Where somebody else says who votes, such a node takes no more part.
func TestOldFolderOfADynamicVoter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := begun(t, 8, 1, 2, 3)
		defer v.end()
		for _, id := range []int32{2, 3} {
			if err := v.nodes[1].AddVoter(t.Context(), v.voter(id)); err != nil {
				t.Fatal(err)
			}
		}
		v.kill(3)
		backup := v.disks[3].Crash(v.rng)
		v.begin(3)
		v.handSomewhere(time.Second)
		time.Sleep(time.Second)
		v.kill(3)
		v.disks[3] = backup
		v.begin(3)
		time.Sleep(time.Second)
		if err := v.nodes[3].broken(); err == nil || !strings.Contains(err.Error(), "remove it from the voters") {
			t.Errorf("got %v", err)
		}
	})
}

// begun is a cluster of one voter whose directory is known, and nodes beside it.
func begun(t *testing.T, seed uint64, ids ...int32) *voters {
	v := newVoters(t, seed, ids...)
	v.named = []metadata.Voter{{ID: ids[0], DirectoryID: v.directory(ids[0])}}
	for _, id := range ids {
		v.begin(id)
	}
	v.handSomewhere(5 * time.Second)
	return v
}

// directory is the id of a node's folder, which does not run.
func (v *voters) directory(id int32) [16]byte {
	q, err := openNodeTo(v.disks[id], Config{NodeID: id, ClusterID: small.ClusterID, Voters: []metadata.Voter{{ID: 99, DirectoryID: [16]byte{1}}}}, func(int32, []byte) {})
	if err != nil {
		v.t.Fatal(err)
	}
	defer q.stop()
	return q.dir.ID()
}

// leader is the node that leads.
func (v *voters) leader() *member {
	v.t.Helper()
	for range 1000 {
		for _, id := range v.ids() {
			if n := v.nodes[id]; n != nil {
				if leader, _ := n.Leader(); leader == id {
					return n
				}
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	v.t.Fatal("nobody leads")
	return nil
}

func (v *voters) voter(id int32) metadata.Voter {
	return metadata.Voter{ID: id, DirectoryID: v.nodes[id].dir.ID(), Endpoints: []metadata.Endpoint{{Listener: "CONTROLLER", Host: fmt.Sprint("host-", id), Port: 9093}}}
}

// Voters are added one after the other, and removed, the leader too.
func TestVotersAreAddedAndRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := begun(t, 8, 1, 2, 3)
		defer v.end()
		for range 1000 {
			v.handSomewhere(time.Second)
		}
		first := v.nodes[1]
		for _, id := range []int32{2, 3} {
			if err := v.nodes[id].AddVoter(t.Context(), v.voter(id)); !errors.Is(err, kerr.NotLeaderForPartition) {
				t.Errorf("node %d does not lead: %v", id, err)
			}
			if err := first.AddVoter(t.Context(), v.voter(id)); err != nil {
				t.Fatal(err)
			}
			if err := first.AddVoter(t.Context(), v.voter(id)); !errors.Is(err, kerr.DuplicateVoter) {
				t.Errorf("added twice: %v", err)
			}
		}
		v.requireVotes(time.Second, 1, 2, 3)
		if at := first.Endpoints(3); len(at) != 1 || at[0].Host != "host-3" {
			t.Errorf("node 3 is at %v", at)
		}
		if err := first.RemoveVoter(t.Context(), 2, [16]byte{7}); !errors.Is(err, kerr.VoterNotFound) {
			t.Errorf("removed with another directory: %v", err)
		}
		if err := first.RemoveVoter(t.Context(), 1, first.dir.ID()); err != nil {
			t.Errorf("the leader removes itself: %v", err)
		}
		next := v.leader()
		for next == first {
			time.Sleep(100 * time.Millisecond)
			next = v.leader()
		}
		v.handSomewhere(5 * time.Second)
		v.requireVotes(time.Second, 2, 3)
		v.kill(1)
		v.handSomewhere(time.Second)
		other := 5 - next.config.NodeID
		if err := next.RemoveVoter(t.Context(), other, v.nodes[other].dir.ID()); err != nil {
			t.Error(err)
		}
		v.kill(other)
		v.handSomewhere(time.Second)
		if err := next.RemoveVoter(t.Context(), next.config.NodeID, next.dir.ID()); !errors.Is(err, kerr.VoterNotFound) {
			t.Errorf("the only voter is removed: %v", err)
		}
	})
}

// Who votes is not forgotten with the power, and nothing is counted without them.
func TestVotersAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := begun(t, 8, 1, 2)
		defer v.end()
		if err := v.nodes[1].AddVoter(t.Context(), v.voter(2)); err != nil {
			t.Fatal(err)
		}
		v.kill(1)
		v.kill(2)
		v.begin(1)
		synctest.Wait()
		if s, err := v.nodes[1].askRaft(); err != nil || len(s.Config.Voters.IDs()) != 2 {
			t.Errorf("%v: the votes of %v are counted", err, s.Config.Voters)
		}
		v.begin(2)
		v.handSomewhere(5 * time.Second)
	})
}

// A snapshot for a voter knows all that is committed of the voters, or waits.
func TestSnapshotKnowsTheVoters(t *testing.T) {
	n := mustOpen(t, disk.NewMemory(), small)
	st := n.replica.storage
	defer n.mustStop(t)
	s, err := st.Snapshot()
	if err != nil || len(s.GetMetadata().GetConfState().GetVoters()) != 1 || s.GetMetadata().GetIndex() != uint64(n.Applied()) {
		t.Errorf("%v, %v", s.GetMetadata(), err)
	}
	lagging := &storage{MemoryStorage: st.MemoryStorage, current: st.current, changed: st.current().index + 1}
	if _, err := lagging.Snapshot(); !errors.Is(err, raft.ErrSnapshotTemporarilyUnavailable) {
		t.Errorf("while a change is not applied: %v", err)
	}
}

// A node that does not get what was decided is not made a voter, and does not stand
// in the way of others.
func TestVoterThatIsAwayIsNotAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := begun(t, 9, 1, 2, 3)
		defer v.end()
		away, there := v.voter(2), v.voter(3)
		v.kill(2)
		waits := make(chan error, 1)
		ctx, cancel := contextFor(t, 5*time.Second)
		defer cancel()
		go func() { waits <- v.nodes[1].AddVoter(ctx, away) }()
		time.Sleep(time.Second)
		short, cancel := contextFor(t, time.Second)
		defer cancel()
		if err := v.nodes[1].AddVoter(short, there); !errors.Is(err, kerr.RequestTimedOut) {
			t.Errorf("while another one is added: %v", err)
		}
		if err := <-waits; !errors.Is(err, kerr.RequestTimedOut) {
			t.Errorf("a node that is away: %v", err)
		}
		for v := range v.nodes[1].Image().Joining() {
			t.Errorf("%v joins still", v)
		}
		v.handSomewhere(time.Second)
		if err := v.nodes[1].AddVoter(t.Context(), there); err != nil {
			t.Error(err)
		}
		v.requireVotes(time.Second, 1, 3)
	})
}

// Voters come and go while nodes die and links break.
func TestVotersChangeAndSurvive(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			v := begun(t, seed, 1, 2, 3, 4)
			defer v.end()
			rng := rand.New(rand.NewPCG(seed, 4))
			v.noise(seed)
			changes := 0
			for range 40 {
				v.disturb(rng)
				if v.changeVoter(t, rng) {
					changes++
				}
				for range rng.IntN(10) {
					for _, id := range v.ids() {
						_ = v.hand(id)
					}
				}
				time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
			}
			v.heal()
			v.handSomewhere(30 * time.Second)
			for _, id := range v.ids() {
				ctx, cancel := contextFor(t, 10*time.Second)
				if err := v.leader().AddVoter(ctx, v.voter(id)); err != nil && !errors.Is(err, kerr.DuplicateVoter) {
					t.Errorf("node %d, in the end: %v", id, err)
				}
				cancel()
			}
			time.Sleep(5 * time.Second)
			v.agree()
			v.requireVotes(time.Second, v.ids()...)
			t.Logf("%d changes of the voters", changes)
		})
	}
}

// changeVoter tries on every node to add or remove some node.
func (v *voters) changeVoter(t *testing.T, rng *rand.Rand) bool {
	id := v.ids()[rng.IntN(len(v.disks))]
	if v.nodes[id] == nil {
		return false
	}
	voter, removes := v.voter(id), rng.IntN(3) == 0
	for _, n := range v.nodes {
		ctx, cancel := contextFor(t, 2*time.Second)
		defer cancel()
		var err error
		if removes {
			err = n.RemoveVoter(ctx, id, voter.DirectoryID)
		} else {
			err = n.AddVoter(ctx, voter)
		}
		if err == nil {
			return true
		}
	}
	return false
}
