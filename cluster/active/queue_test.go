package active

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// giveIDs is a decision that counts how often it was asked and changes n things.
func giveIDs(asked *int, n int) decider {
	return func(img *metadata.Image) []metadata.Record {
		*asked++
		var all []metadata.Record
		for i := range n {
			all = append(all, &metadata.ProducerIDsAllocated{Next: img.NextProducerID + int64(i) + 1})
		}
		return all
	}
}

// withQueue runs a queue in a bubble, on a quorum that this node leads.
func withQueue(t *testing.T, test func(t *testing.T, q *queue, quorum *fakeQuorum, endTerm func())) {
	synctest.Test(t, func(t *testing.T) {
		quorum := newFakeQuorum()
		quorum.elect(self)
		quorum.rounds = 0
		q := newQueue(quorum)
		ctx, cancel := context.WithCancel(t.Context())
		var tasks sync.WaitGroup
		tasks.Go(func() { q.run(ctx) })
		test(t, q, quorum, cancel)
		cancel()
		tasks.Wait()
	})
}

// takeAll takes decisions at once, the first of them alone.
func takeAll(ctx context.Context, q *queue, all ...decider) []outcome {
	outcomes := make([]outcome, len(all))
	var tasks sync.WaitGroup
	for i, decide := range all {
		tasks.Go(func() { outcomes[i] = q.take(ctx, decide) })
		synctest.Wait()
	}
	tasks.Wait()
	return outcomes
}

// TestDecisionsAreTakenTogether: those that wait are, up to a size, on top of each
// other and in the order in which they came.
func TestDecisionsAreTakenTogether(t *testing.T) {
	for _, c := range []struct {
		name   string
		sizes  []int // of the decisions after the first
		rounds int
	}{
		{"small ones", []int{1, 1, 1}, 2},
		{"none that changes anything", []int{0, 0}, 1},
		{"as many as may be", []int{maxTogether - 1, 1}, 2},
		{"one too many", []int{maxTogether - 1, 2, 1}, 3},
		{"a large one alone", []int{2 * maxTogether}, 2},
		{"a large one between others", []int{1, 2 * maxTogether, 1}, 4},
		{"a large one after one that changes nothing", []int{0, 2 * maxTogether}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			withQueue(t, func(t *testing.T, q *queue, quorum *fakeQuorum, _ func()) {
				asked, total := 0, int64(1)
				deciders := []decider{giveIDs(&asked, 1)}
				for _, n := range c.sizes {
					deciders, total = append(deciders, giveIDs(&asked, n)), total+int64(n)
				}
				offset := int64(0)
				for i, o := range takeAll(t.Context(), q, deciders...) {
					if o.err != nil || o.offset < offset {
						t.Errorf("decision %d: %+v after offset %d", i, o, offset)
					}
					offset = o.offset
				}
				if quorum.rounds != c.rounds || quorum.image.NextProducerID != total {
					t.Errorf("%d rounds, %d changes; want %d, %d", quorum.rounds, quorum.image.NextProducerID, c.rounds, total)
				}
			})
		})
	}
}

// TestWaitForATurnIsBounded: who gives up waiting is not asked any more, and who was
// asked hears what became of it.
func TestWaitForATurnIsBounded(t *testing.T) {
	withQueue(t, func(t *testing.T, q *queue, quorum *fakeQuorum, _ func()) {
		<-quorum.turn
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		asked := 0
		// The round waits already, for the turn.
		if o := q.take(ctx, giveIDs(&asked, 1)); !errors.Is(o.err, kerr.RequestTimedOut) || !errors.Is(o.err, context.DeadlineExceeded) {
			t.Errorf("outcome %+v", o)
		}
		quorum.turn <- struct{}{}
		synctest.Wait()
		if asked > 0 || quorum.rounds > 0 {
			t.Errorf("asked %d times after it gave up, %d rounds", asked, quorum.rounds)
		}
		ctx, cancel = context.WithTimeout(t.Context(), flush/2)
		defer cancel()
		if o := q.take(ctx, giveIDs(&asked, 1)); o.err != nil || o.image.NextProducerID != 1 {
			t.Errorf("outcome %+v of what was begun in time", o)
		}
	})
}

// TestATermEnds: what waits then, or comes later, is told so, and what is being
// decided hears of the quorum.
func TestATermEnds(t *testing.T) {
	withQueue(t, func(t *testing.T, q *queue, quorum *fakeQuorum, endTerm func()) {
		asked := 0
		outcomes := make([]outcome, 3)
		var tasks sync.WaitGroup
		for i := range 2 {
			tasks.Go(func() { outcomes[i] = q.take(t.Context(), giveIDs(&asked, 1)) })
			synctest.Wait()
		}
		quorum.elect(50)
		endTerm()
		tasks.Wait()
		outcomes[2] = q.take(t.Context(), giveIDs(&asked, 1))
		for i, o := range outcomes {
			if !errors.Is(o.err, kerr.NotController) {
				t.Errorf("outcome %d: %+v", i, o)
			}
		}
		if asked != 1 {
			t.Errorf("%d decisions were asked", asked)
		}
	})
}

// TestAQuorumThatFails is told to each that asks, and to nobody for ever.
func TestAQuorumThatFails(t *testing.T) {
	withQueue(t, func(t *testing.T, q *queue, quorum *fakeQuorum, _ func()) {
		asked := 0
		quorum.broken = kerr.KafkaStorageError
		for i, o := range takeAll(t.Context(), q, giveIDs(&asked, 1), giveIDs(&asked, 1), giveIDs(&asked, 1)) {
			if !errors.Is(o.err, kerr.KafkaStorageError) {
				t.Errorf("outcome %d: %+v", i, o)
			}
		}
		quorum.broken = nil
		outcomes := takeAll(t.Context(), q, giveIDs(&asked, 1),
			func(*metadata.Image) []metadata.Record { return []metadata.Record{&metadata.VoterRemoved{ID: 9}} }) // there is none
		if outcomes[0].err != nil || outcomes[1].err == nil {
			t.Errorf("outcomes %+v", outcomes)
		}
	})
}
