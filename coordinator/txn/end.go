package txn

import (
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
)

// End decides the producer's transaction. The answer names the producer of the
// next one. fresh is as for InitProducerID.
func (c *Coordinator) End(r Request, commit bool, fresh int64, to step.Ticket, now time.Time) step.Output {
	var out output
	decide := c.endShared
	if r.Version >= 2 {
		decide = c.endOwn
	}
	if err := decide(&out, r, commit, fresh, to, now); err != nil {
		out.refuse(to, err)
	}
	return out.Output
}

// endShared decides for a client whose transactions share an epoch.
func (c *Coordinator) endShared(out *output, r Request, commit bool, _ int64, to step.Ticket, now time.Time) error {
	t, err := c.find(r)
	if err != nil {
		return err
	}
	t.connection = max(t.connection, r.Connection)
	switch t.state {
	case Ongoing:
		next := t.decided(commit, now)
		next.version = 0
		c.move(out, t, next, to, Answer{Producer: t.producer}, c.markersOf(next))
		return nil
	case decision(commit):
		return kerr.ConcurrentTransactions
	case completion(commit):
		out.confirm(to, Answer{Producer: t.producer})
		return nil
	}
	return kerr.InvalidTxnState
}

// endOwn decides for a client whose transactions have an epoch each
// (transaction.version 2): the decision takes the next one.
func (c *Coordinator) endOwn(out *output, r Request, commit bool, fresh int64, to step.Ticket, now time.Time) error {
	t := c.txns[r.TransactionalID]
	switch {
	case r.TransactionalID == "":
		return kerr.InvalidRequest
	case t == nil:
		return kerr.InvalidProducerIDMapping
	}
	// The epoch that the decision took, or the id that took over where there was none
	// left, tells a repeated request from one for the next transaction.
	tookID := t.previousID == r.Producer.ID && r.Producer.Epoch == math.MaxInt16-1 && t.producer.Epoch == 0
	repeated := tookID || t.version >= 2 && t.producer.ID == r.Producer.ID && int32(t.producer.Epoch) == int32(r.Producer.Epoch)+1
	current := t.producer.Epoch == r.Producer.Epoch
	switch {
	case t.producer.ID != r.Producer.ID && !tookID:
		return kerr.InvalidProducerIDMapping
	case !current && !repeated, repeated && (t.state == Ongoing || t.state == Empty):
		return kerr.ProducerFenced
	case t.state.prepared() && !repeated:
		return kerr.ConcurrentTransactions // the next transaction's end: the last one is not complete
	case repeated && t.state == decision(commit):
		return kerr.ConcurrentTransactions
	case repeated && t.state == completion(commit):
		out.confirm(to, Answer{Producer: t.producer})
		return nil
	case repeated:
		return kerr.InvalidTxnState
	case t.state != Ongoing && commit:
		return kerr.InvalidTxnState // there is nothing to commit; an abort only takes the epoch
	}
	return c.takeEpoch(out, t, commit, fresh, to, now)
}

// takeEpoch decides a transaction under the next epoch, or under the last one that
// there is and then goes on with a fresh producer id.
func (c *Coordinator) takeEpoch(out *output, t *txn, commit bool, fresh int64, to step.Ticket, now time.Time) error {
	next := t.decided(commit, now)
	if exhausted(t.producer.Epoch) {
		if fresh < 0 {
			return ErrNeedsProducerID
		}
		next.nextID = fresh
	}
	if t.state != Ongoing {
		next.startMs = now.UnixMilli() // it never began, but every decision has a beginning
	}
	next.version, next.lastEpoch = 2, t.producer.Epoch
	if t.producer.Epoch < math.MaxInt16 {
		next.producer.Epoch++
	}
	c.move(out, t, next, to, Answer{Producer: next.successor()}, c.markersOf(next))
	return nil
}

func (t *txn) decided(commit bool, now time.Time) *txn {
	next := t.next(now)
	next.state, next.nextID = decision(commit), -1
	return next
}

func decision(commit bool) State {
	if commit {
		return PrepareCommit
	}
	return PrepareAbort
}

func completion(commit bool) State {
	if commit {
		return CompleteCommit
	}
	return CompleteAbort
}

// successor is the producer of the transaction after a decided one.
func (t *txn) successor() Producer {
	if t.version >= 2 && t.nextID >= 0 {
		return Producer{ID: t.nextID}
	}
	return t.producer
}

// markersOf is what carries out a decision.
func (c *Coordinator) markersOf(t *txn) WriteMarkers {
	return WriteMarkers{
		TransactionalID: t.id,
		Marker: step.Marker{
			ProducerID: t.producer.ID, ProducerEpoch: t.producer.Epoch, CoordinatorEpoch: c.config.Epoch,
			Commit: t.state == PrepareCommit, Version: t.version,
		},
		Partitions: t.sortedPartitions(),
	}
}

// MarkersWritten notes that markers are committed in partitions. With the last of
// them the transaction is complete, and those who waited for that go on.
func (c *Coordinator) MarkersWritten(w WriteMarkers, partitions []protocol.TopicPartition, now time.Time) step.Output {
	var out output
	t := c.carriedOut(w)
	if t == nil {
		return out.Output
	}
	for _, tp := range partitions {
		delete(t.partitions, tp)
	}
	if len(t.partitions) == 0 {
		c.complete(&out, t, now)
	}
	return out.Output
}

// carriedOut returns the transaction whose decision w carries out, nil if that is
// no longer its state.
func (c *Coordinator) carriedOut(w WriteMarkers) *txn {
	t := c.txns[w.TransactionalID]
	if t == nil || !t.state.prepared() || t.producer != (Producer{w.Marker.ProducerID, w.Marker.ProducerEpoch}) {
		return nil
	}
	return t
}

func (c *Coordinator) complete(out *output, t *txn, now time.Time) {
	next := t.next(now)
	next.state = completion(t.state == PrepareCommit)
	next.producer, next.nextID = t.successor(), -1
	c.move(out, t, next, nil, Answer{}, nil)
	out.Next = func() step.Output {
		if t.state.prepared() {
			c.tryAgain(t.id, now) // the record could not be appended
			return step.Output{}
		}
		delete(c.failed, t.id)
		waited := c.parked[t.id]
		delete(c.parked, t.id)
		if next := resume(waited, now); next != nil {
			return next()
		}
		return step.Output{}
	}
}
