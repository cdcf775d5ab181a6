package txn

import (
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
)

// InitProducerID gives the holder of a transactional id a producer id and an
// epoch that fences whoever had it before. An open transaction is aborted first,
// and the client is told to come back.
//
// r.Producer is what the client has already, if it goes on after an error
// (KIP-360). fresh is a producer id that nobody had yet, or -1: then the answer
// may be ErrNeedsProducerID, and nothing has changed.
func (c *Coordinator) InitProducerID(r Request, timeout time.Duration, fresh int64, to step.Ticket, now time.Time) step.Output {
	var out output
	if err := c.initProducerID(&out, r, timeout, fresh, to, now); err != nil {
		out.refuse(to, err)
	}
	return out.Output
}

func (c *Coordinator) initProducerID(out *output, r Request, timeout time.Duration, fresh int64, to step.Ticket, now time.Time) error {
	switch {
	case r.TransactionalID == "":
		return kerr.InvalidRequest
	case timeout <= 0 || timeout > c.config.MaxTimeout:
		return kerr.InvalidTransactionTimeout
	}
	t := c.txns[r.TransactionalID]
	if t == nil {
		if fresh < 0 {
			return ErrNeedsProducerID
		}
		t = &txn{id: r.TransactionalID, producer: Producer{ID: fresh, Epoch: -1}, previousID: -1, nextID: -1, lastEpoch: -1, startMs: -1}
	}
	if !t.admits(r.Producer) {
		return kerr.ProducerFenced
	}
	switch t.state {
	case PrepareCommit, PrepareAbort:
		return kerr.ConcurrentTransactions
	case Ongoing:
		// A request that was under way while its producer went on must not end what
		// that producer has begun since.
		if r.Producer != None && r.Producer.Epoch != t.producer.Epoch {
			return kerr.ProducerFenced
		}
		c.fence(out, t, to, now)
		return nil
	}
	next := t.next(now)
	if err := next.renew(r.Producer, fresh); err != nil {
		return err
	}
	next.state, next.startMs, next.partitions, next.connection = Empty, -1, map[protocol.TopicPartition]bool{}, 0
	next.timeoutMs = int32(timeout.Milliseconds())
	c.move(out, t, next, to, Answer{Producer: next.producer}, nil)
	return nil
}

// admits reports whether a client that says it has the producer may go on. It may
// have the one before, if that had no epoch left: the answer that told of the new
// one may be lost.
func (t *txn) admits(p Producer) bool {
	return p == None || t.producer.Epoch < 0 || p.ID == t.producer.ID || p.ID == t.previousID && exhausted(p.Epoch)
}

// renew gives t the producer that the client is to have: the next epoch, or a
// fresh id when there is none.
func (t *txn) renew(has Producer, fresh int64) error {
	was := t.producer
	switch {
	case exhausted(was.Epoch) && (has == None || has.Epoch == was.Epoch):
		if fresh < 0 {
			return ErrNeedsProducerID
		}
		t.producer, t.lastEpoch = Producer{ID: fresh}, -1
		if has != None {
			t.lastEpoch = was.Epoch
		}
	case has == None:
		t.producer.Epoch, t.lastEpoch = was.Epoch+1, -1
	case was.Epoch < 0 || has.Epoch == was.Epoch:
		t.producer.Epoch, t.lastEpoch = was.Epoch+1, was.Epoch
	case has.Epoch == t.lastEpoch:
		// The same request again: its answer was lost.
	default:
		return kerr.ProducerFenced
	}
	return nil
}

// fence aborts an open transaction against the will of its producer, whose epoch
// is over with that. to is answered that it should come back.
func (c *Coordinator) fence(out *output, t *txn, to step.Ticket, now time.Time) {
	next := t.next(now)
	next.state, next.nextID, next.version = PrepareAbort, -1, c.config.Version()
	next.lastEpoch = -1
	if next.version >= 2 {
		next.lastEpoch = t.producer.Epoch
	}
	if t.producer.Epoch < math.MaxInt16 {
		next.producer.Epoch++
	}
	c.move(out, t, next, to, Answer{Producer: None, Err: kerr.ConcurrentTransactions}, c.markersOf(next))
}
