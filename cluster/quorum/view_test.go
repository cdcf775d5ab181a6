package quorum

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/storage/disk"
)

// A decision tells its offset, up to which the observers have seen all when it
// returns, and where nothing is decided it is that of the image that stood before.
func TestProposeAtTellsItsOffset(t *testing.T) {
	n := mustOpen(t, disk.NewMemory(), small)
	defer n.mustStop(t)
	var seen int64
	n.Observe(func(*metadata.Image, *metadata.Delta) {
		seen = n.Image().NextProducerID
		if n.Applied() >= n.journal.log.End() {
			t.Error("applied before all observers have seen it")
		}
	})
	for range 3 {
		img, offset, err := n.ProposeAt(t.Context(), nextIDs)
		if err != nil || seen != img.NextProducerID || offset != n.Applied() || offset != n.journal.log.End() {
			t.Fatalf("%v: at %d of %d, applied %d", err, offset, n.journal.log.End(), n.Applied())
		}
		nothing, same, err := n.ProposeAt(t.Context(), func(*metadata.Image) ([]metadata.Record, error) { return nil, nil })
		if err != nil || nothing != img || same != offset {
			t.Fatalf("%v: nothing is decided at %d, after %d", err, same, offset)
		}
	}
}

// Who awaits an offset goes on when it is applied, when the wait is over, and when
// the quorum ends.
func TestAwaitApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := mustOpen(t, disk.NewMemory(), small)
		reached, over := make(chan error, 1), make(chan error, 1)
		go func() { reached <- n.AwaitApplied(t.Context(), n.Applied()+2) }()
		synctest.Wait()
		mustPropose(t, n, nextIDs)
		synctest.Wait()
		if len(reached) > 0 {
			t.Fatal("one offset too early")
		}
		mustPropose(t, n, nextIDs)
		if err := <-reached; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.AwaitApplied(ctx, n.Applied()+1); !errors.Is(err, kerr.RequestTimedOut) {
			t.Errorf("when the wait is over: %v", err)
		}
		go func() { over <- n.AwaitApplied(t.Context(), n.Applied()+1) }()
		synctest.Wait()
		n.mustStop(t)
		if err := <-over; !errors.Is(err, kerr.NotController) {
			t.Errorf("when the quorum ends: %v", err)
		}
	})
}

// A node that is elected has the lead once all that was decided before is in its
// image, which names it; the others hear of the change.
func TestAwaitLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoters(t, 6, 1, 2, 3)
		for _, id := range v.ids() {
			v.begin(id)
		}
		defer v.end()
		v.handSomewhere(5 * time.Second)
		first, epoch := v.nodes[1].Leader()
		if got, err := v.nodes[first].AwaitLead(t.Context()); err != nil || got != epoch {
			t.Errorf("node %d leads in epoch %d, not %d: %v", first, epoch, got, err)
		}
		type lead struct{ id, epoch int32 }
		leads := make(chan lead, 3)
		for id, n := range v.nodes {
			if id == first {
				continue
			}
			go func() {
				if epoch, err := n.AwaitLead(t.Context()); err == nil {
					if img := n.Image(); img.ControllerID != id || len(v.acked)*10 != int(img.NextProducerID) {
						t.Errorf("node %d leads, the image has %d and ids up to %d", id, img.ControllerID, img.NextProducerID)
					}
					leads <- lead{id, epoch}
				}
			}()
		}
		v.kill(first)
		next := <-leads
		id, now := first, epoch
		for id != next.id {
			var err error
			if id, now, err = v.nodes[next.id].AwaitLeaderChange(t.Context(), id, now); err != nil {
				t.Fatal(err)
			}
		}
		if now != next.epoch || now <= epoch {
			t.Errorf("epoch %d, want %d", now, next.epoch)
		}
	})
}
