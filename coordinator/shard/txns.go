package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/coordinator/txn"
	"github.com/klamm-io/klamm/protocol"
)

// Markers carries out the decisions of transactions.
type Markers interface {
	// WriteMarkers writes a marker into partitions, wherever they are led, and calls
	// done once, on any goroutine: with those where it is committed or need not be,
	// and an error if any is missing. Once term is over none need be written any more.
	WriteMarkers(term context.Context, m step.Marker, partitions []protocol.TopicPartition, done func(written []protocol.TopicPartition, err error))
}

// TxnConfig is how the transaction coordinators behave.
type TxnConfig struct {
	txn.Config
	Partitions     int32         // of __transaction_state, until SetPartitions
	ExpiryInterval time.Duration // transaction.remove.expired.transaction.cleanup.interval.ms
}

// TxnDeps is what the transaction coordinators use.
type TxnDeps struct {
	Markers       Markers
	NewProducerID func() (int64, error) // an id that no producer of the cluster had; may wait for the quorum
	Logger        *slog.Logger
}

// Txns are the transaction coordinators of this broker, one for each partition of
// __transaction_state that it leads. It is safe for concurrent use.
type Txns struct {
	led[*txn.Coordinator]
	config TxnConfig
	deps   TxnDeps
}

// NewTxns returns Txns that lead no partition yet.
func NewTxns(c TxnConfig, d TxnDeps) *Txns {
	t := &Txns{config: c, deps: d}
	t.SetPartitions(c.Partitions)
	return t
}

// Lead makes this broker the coordinator of a partition's transactions, in a leader
// epoch of that partition; a former one of an earlier epoch ends. The caller is to
// call load, on any goroutine: it returns when the log is read, or once the partition
// is given up. Until it is read, clients are told to come back.
func (t *Txns) Lead(index, epoch int32, log Log) (load func() error) {
	c := t.config.Config
	c.Epoch = epoch
	p := newPartition(epoch, log, txn.New(c, t.deps.Logger), t.deps.Logger)
	p.act = func(e step.Effect) { t.writeMarkers(p, e.(txn.WriteMarkers)) }
	if !t.lead(index, p) {
		return func() error { return nil }
	}
	return func() error {
		if err := p.load(); err != nil {
			return fmt.Errorf("load the transactions of partition %d: %w", index, err)
		}
		return nil
	}
}

// writeMarkers carries out a decision of p and tells it how far that got.
func (t *Txns) writeMarkers(p *partition[*txn.Coordinator], w txn.WriteMarkers) {
	t.deps.Markers.WriteMarkers(p.term, w.Marker, w.Partitions, func(written []protocol.TopicPartition, err error) {
		if err != nil && !p.over() {
			t.deps.Logger.Error("a transaction is decided and not complete; its markers are tried again",
				"transactional_id", w.TransactionalID, "producer_id", w.Marker.ProducerID, "commit", w.Marker.Commit, "err", err)
		}
		// A partition that is no longer led here is completed by who leads it now.
		_ = p.step(func(c *txn.Coordinator) step.Output { return c.MarkersWritten(w, written, time.Now()) })
		if err != nil {
			_ = p.step(func(c *txn.Coordinator) step.Output { return c.MarkersFailed(w, time.Now()) })
		}
	})
}

// Run lets time pass until ctx ends.
func (t *Txns) Run(ctx context.Context) error {
	return t.run(ctx, t.config.ExpiryInterval, (*txn.Coordinator).Tick, (*txn.Coordinator).Expire)
}

// step takes a step of the coordinator that an id belongs to. reply is called
// exactly once, at once or later, on any goroutine.
func (t *Txns) step(id string, reply func(txn.Answer), take func(*txn.Coordinator, step.Ticket) step.Output) {
	p, err := t.of(id)
	if err == nil {
		err = p.step(func(c *txn.Coordinator) step.Output { return take(c, ticketFor(reply)) })
	}
	if err != nil {
		reply(txn.Answer{Producer: txn.None, Err: err})
	}
}

// stepWithID is step for a request that may need a producer id: one is got only
// when it does, and outside of the partition's lock, because the quorum gives it.
func (t *Txns) stepWithID(id string, reply func(txn.Answer), take func(c *txn.Coordinator, fresh int64, to step.Ticket) step.Output) {
	t.step(id, func(a txn.Answer) {
		if !errors.Is(a.Err, txn.ErrNeedsProducerID) {
			reply(a)
			return
		}
		fresh, err := t.deps.NewProducerID()
		if err != nil {
			reply(txn.Answer{Producer: txn.None, Err: err})
			return
		}
		t.step(id, reply, func(c *txn.Coordinator, to step.Ticket) step.Output { return take(c, fresh, to) })
	}, func(c *txn.Coordinator, to step.Ticket) step.Output { return take(c, -1, to) })
}

// InitProducerID gives the holder of a transactional id its producer.
func (t *Txns) InitProducerID(r txn.Request, timeout time.Duration, reply func(txn.Answer)) {
	t.stepWithID(r.TransactionalID, reply, func(c *txn.Coordinator, fresh int64, to step.Ticket) step.Output {
		return c.InitProducerID(r, timeout, fresh, to, time.Now())
	})
}

// AddPartitions takes partitions into a transaction, waiting for the one before to
// be complete at most for patience.
func (t *Txns) AddPartitions(r txn.Request, partitions []protocol.TopicPartition, patience time.Duration, reply func(txn.Answer)) {
	t.step(r.TransactionalID, reply, func(c *txn.Coordinator, to step.Ticket) step.Output {
		now := time.Now()
		return c.AddPartitions(r, partitions, to, now, now.Add(patience))
	})
}

// Verify tells which of the partitions are not in a transaction.
func (t *Txns) Verify(r txn.Request, partitions []protocol.TopicPartition, reply func(txn.Answer)) {
	t.step(r.TransactionalID, reply, func(c *txn.Coordinator, to step.Ticket) step.Output { return c.Verify(r, partitions, to) })
}

// End commits or aborts a transaction.
func (t *Txns) End(r txn.Request, commit bool, reply func(txn.Answer)) {
	t.stepWithID(r.TransactionalID, reply, func(c *txn.Coordinator, fresh int64, to step.Ticket) step.Output {
		return c.End(r, commit, fresh, to, time.Now())
	})
}

// Describe tells of a transactional id, or TRANSACTIONAL_ID_NOT_FOUND.
func (t *Txns) Describe(id string) (d txn.Description, err error) {
	p, err := t.of(id)
	if err == nil {
		err = p.serving()
	}
	if err != nil {
		return d, err
	}
	known := false
	p.look(func(c *txn.Coordinator) { d, known = c.Describe(id) })
	if !known {
		return d, kerr.TransactionalIDNotFound
	}
	return d, nil
}

// List tells of all transactional ids of this broker that the filter chooses, or
// COORDINATOR_LOAD_IN_PROGRESS.
func (t *Txns) List(f txn.Filter) (all []txn.Description, err error) {
	for _, p := range t.all() {
		if err := p.serving(); err != nil {
			return nil, err
		}
		p.look(func(c *txn.Coordinator) { all = append(all, c.List(f, time.Now())...) })
	}
	return all, nil
}

// States counts the transactional ids by their state, and those whose markers
// could not be written and are tried again.
func (t *Txns) States() (counts map[string]int, undelivered int) {
	counts = map[string]int{}
	for _, p := range t.all() {
		p.look(func(c *txn.Coordinator) {
			states, failed := c.States()
			for state, n := range states {
				counts[state] += n
			}
			undelivered += failed
		})
	}
	return counts, undelivered
}
