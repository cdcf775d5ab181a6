package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
)

// parked is a request that waits until the transaction before it is complete.
type parked struct {
	again    func(now time.Time) step.Output
	to       step.Ticket
	deadline time.Time
}

// AddPartitions takes partitions into the transaction, which begins with the
// first. While the transaction before is being completed, the request waits until
// deadline; a zero one is answered at once with CONCURRENT_TRANSACTIONS.
func (c *Coordinator) AddPartitions(r Request, partitions []protocol.TopicPartition, to step.Ticket, now, deadline time.Time) step.Output {
	var out output
	t, err := c.find(r)
	switch {
	case err != nil:
		out.refuse(to, err)
	case t.state.prepared() && now.Before(deadline):
		c.parked[t.id] = append(c.parked[t.id], parked{
			again:    func(now time.Time) step.Output { return c.AddPartitions(r, partitions, to, now, deadline) },
			to:       to,
			deadline: deadline,
		})
	case t.state.prepared():
		out.refuse(to, kerr.ConcurrentTransactions)
	case t.state == Ongoing && t.hasAll(partitions):
		t.connection = max(t.connection, r.Connection)
		out.confirm(to, Answer{Producer: t.producer})
	default:
		next := t.next(now)
		next.state, next.version, next.connection = Ongoing, r.Version, max(t.connection, r.Connection)
		if t.state != Ongoing {
			next.startMs = now.UnixMilli()
		}
		for _, tp := range partitions {
			next.partitions[tp] = true
		}
		c.move(&out, t, next, to, Answer{Producer: t.producer}, nil)
	}
	return out.Output
}

// find returns the transaction that r means, if its producer may still change it.
func (c *Coordinator) find(r Request) (*txn, error) {
	t := c.txns[r.TransactionalID]
	switch {
	case r.TransactionalID == "":
		return nil, kerr.InvalidRequest
	case t == nil || t.producer.ID != r.Producer.ID:
		return nil, kerr.InvalidProducerIDMapping
	case t.producer.Epoch != r.Producer.Epoch:
		return nil, kerr.ProducerFenced
	case t.leftBy(r):
		return nil, ErrStaleConnection
	}
	return t, nil
}

// leftBy reports whether r came on a connection that its client has left. Where
// each transaction has its own epoch, that tells whether a request is late; a
// client of before has one epoch for many, but one connection at a time, on which
// its requests stay in order.
func (t *txn) leftBy(r Request) bool {
	return r.Version < 2 && r.Connection != 0 && r.Connection < t.connection
}

// Verify tells which of the partitions are not in the transaction of the
// producer.
func (c *Coordinator) Verify(r Request, partitions []protocol.TopicPartition, to step.Ticket) step.Output {
	var out output
	t, err := c.find(r)
	switch {
	case err != nil:
		out.refuse(to, err)
		return out.Output
	case t.state.prepared():
		out.refuse(to, kerr.ConcurrentTransactions)
		return out.Output
	}
	a := Answer{Producer: t.producer}
	for _, tp := range partitions {
		if !t.partitions[tp] {
			a.Missing = append(a.Missing, tp)
		}
	}
	out.confirm(to, a)
	return out.Output
}

// resume takes the steps of those that waited for a transaction's completion, one
// after the other.
func resume(waited []parked, now time.Time) func() step.Output {
	if len(waited) == 0 {
		return nil
	}
	return func() step.Output {
		out := waited[0].again(now)
		out.Next = resume(waited[1:], now)
		return out
	}
}

// expireParked answers those that waited long enough.
func (c *Coordinator) expireParked(out *output, now time.Time) {
	for id, waiting := range c.parked {
		left := waiting[:0]
		for _, p := range waiting {
			if now.Before(p.deadline) {
				left = append(left, p)
			} else {
				out.refuse(p.to, kerr.ConcurrentTransactions)
			}
		}
		c.parked[id] = left
		if len(left) == 0 {
			delete(c.parked, id)
		}
	}
}

// Unload answers those who wait, because another broker coordinates the
// transactions from now on. No step may follow.
func (c *Coordinator) Unload() step.Output {
	var out output
	for _, waiting := range c.parked {
		for _, p := range waiting {
			out.refuse(p.to, kerr.NotCoordinator)
		}
	}
	return out.Output
}
