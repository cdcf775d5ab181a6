package quorum

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/storage/disk"
)

// TestStatusOfOne: what was decided is at the high watermark at once, and a node
// that has left the quorum says so.
func TestStatusOfOne(t *testing.T) {
	n := mustOpen(t, disk.NewMemory(), small)
	before, err := n.Status()
	if err != nil {
		t.Fatal(err)
	}
	mustPropose(t, n, nextIDs)
	after, err := n.Status()
	if err != nil {
		t.Fatal(err)
	}
	id := small.NodeID
	if after.Leader != id || after.Epoch < 1 || after.HighWatermark != before.HighWatermark+1 {
		t.Errorf("%+v, then %+v", before, after)
	}
	if len(after.Voters) != 1 || after.Voters[0].ID != id || after.Voters[0].LogEnd != after.HighWatermark {
		t.Errorf("voters %+v", after.Voters)
	}
	n.mustStop(t)
	if _, err := n.Status(); !errors.Is(err, kerr.NotController) {
		t.Errorf("after the stop: %v", err)
	}
}

// TestStatusOfThree: the leader sees how far each voter is, one that is gone falls
// behind, and who does not lead does not pretend to know.
func TestStatusOfThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoters(t, 1, 1, 2, 3)
		for _, id := range v.ids() {
			v.begin(id)
		}
		v.handSomewhere(time.Minute)
		leader, _ := v.nodes[1].Leader()
		gone := leader%3 + 1
		v.kill(gone)
		v.handSomewhere(time.Minute)
		time.Sleep(10 * time.Second) // what is under way arrives
		for _, id := range v.ids() {
			if id == gone {
				continue
			}
			s, err := v.nodes[id].Status()
			if id != leader {
				if !errors.Is(err, kerr.NotLeaderForPartition) {
					t.Errorf("node %d does not lead: %+v, %v", id, s, err)
				}
				continue
			}
			for _, voter := range s.Voters {
				if behind := voter.LogEnd < s.HighWatermark; behind != (voter.ID == gone) {
					t.Errorf("node %d is gone, and voter %d is at %d of %d", gone, voter.ID, voter.LogEnd, s.HighWatermark)
				}
			}
			if err != nil || len(s.Voters) != 3 {
				t.Errorf("node %d leads: %+v, %v", id, s, err)
			}
		}
		v.end()
	})
}
