package api

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/enlist"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/coordinator/txn"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
)

// Before a transaction begins in a partition, its coordinator must know that the
// partition is in it (KIP-890). For clients of transaction.version 2 the broker
// takes it in; others have asked for that themselves, which is verified.

// support tells from which version on an API has its partitions taken in, and
// knows TRANSACTION_ABORTABLE.
type support struct{ addsSince, abortableSince int16 }

func (s support) of(version int16) joining {
	return joining{adds: version >= s.addsSince, knowsAbortable: version >= s.abortableSince}
}

// joining is how a client's partitions come into its transaction.
type joining struct{ adds, knowsAbortable bool }

// completionPatience is how long a transaction's first records wait for the one
// before to be complete.
const completionPatience = time.Second

// joinTxn sees to it that all of the partitions are in the producer's transaction,
// or answers with the error that a producer is told.
func (h *Handler) joinTxn(r txn.Request, partitions []protocol.TopicPartition, how joining, reply func(txn.Answer)) {
	told := func(a txn.Answer) {
		a.Err = how.explain(a)
		reply(a)
	}
	if how.adds {
		r.Version = ownEpochs
	}
	node, err := h.txnCoordinator(r.TransactionalID)
	switch {
	case err != nil:
		told(txn.Answer{Producer: txn.None, Err: err})
	case node != h.config.NodeID:
		h.elsewhere.Ask(node, enlist.Question{Request: r, Partitions: partitions, VerifyOnly: !how.adds, Patience: completionPatience}, told)
	case how.adds:
		h.txns.AddPartitions(r, partitions, completionPatience, told)
	default:
		h.txns.Verify(r, partitions, told)
	}
}

// txnCoordinator is the node that coordinates the transactions of an id.
func (h *Handler) txnCoordinator(id string) (node int32, err error) {
	if h.elsewhere == nil {
		return h.config.NodeID, nil
	}
	t, found := h.image().Topic(metadata.TransactionState)
	index := h.txns.Partition(id)
	if !found || int(index) >= len(t.Partitions) || t.Partitions[index].Leader < 0 {
		return -1, fmt.Errorf("nobody coordinates the transactions of partition %d: %w", index, kerr.CoordinatorNotAvailable)
	}
	return t.Partitions[index].Leader, nil
}

// explain is what a producer is told of the coordinator's answer.
func (j joining) explain(a txn.Answer) error {
	switch {
	case errors.Is(a.Err, kerr.ProducerFenced):
		return fmt.Errorf("%s: %w", a.Err.Error(), kerr.InvalidProducerEpoch)
	case len(a.Missing) == 0:
		return a.Err
	case j.knowsAbortable:
		return fmt.Errorf("%s is not in the transaction: %w", a.Missing[0], kerr.TransactionAbortable)
	}
	return fmt.Errorf("%s is not in the transaction: %w", a.Missing[0], kerr.InvalidTxnState)
}

// produceSupport is of Produce.
var produceSupport = support{addsSince: 12, abortableSince: 11}

// verified are the partitions of a Produce request in which its transaction is to
// begin, with the number under which it may, or why it may not.
type verified map[*replica.Partition]verification

type verification struct {
	number uint64
	err    error
}

// verifications bounds how often a partition is asked for: a marker of the
// transaction before, written while the coordinator is asked, makes the answer void
// once.
const verifications = 3

// verifyTxn asks for all partitions of the request in which no transaction of the
// producer is open yet, and waits for the answers: what the producer sends next
// must be appended after what it sends here.
func (p *pendingProduce) verifyTxn(req *kmsg.ProduceRequest) {
	p.verified = verified{}
	for range verifications {
		asked := p.unverified(req)
		if len(asked) == 0 {
			return
		}
		p.askCoordinator(req, asked)
	}
}

// unverified returns the partitions that the coordinator is to be asked for, by
// the producers of their batches.
func (p *pendingProduce) unverified(req *kmsg.ProduceRequest) map[txn.Producer][]*replica.Partition {
	asked := map[txn.Producer][]*replica.Partition{}
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			partition, err := p.target(req, t, t.Partitions[j].Partition)
			if err != nil {
				continue // it is answered when it is its turn
			}
			batch, _, err := record.Next(t.Partitions[j].Records)
			if err != nil || !batch.Attributes().Transactional() {
				continue
			}
			number := partition.Log().BeginVerification(batch.ProducerID(), batch.ProducerEpoch(), p.request.Received.UnixMilli())
			if before := p.verified[partition]; number != before.number && before.err == nil {
				producer := txn.Producer{ID: batch.ProducerID(), Epoch: batch.ProducerEpoch()}
				p.verified[partition] = verification{number: number}
				if number != 0 {
					asked[producer] = append(asked[producer], partition)
				}
			}
		}
	}
	return asked
}

func (p *pendingProduce) askCoordinator(req *kmsg.ProduceRequest, asked map[txn.Producer][]*replica.Partition) {
	var waits sync.WaitGroup
	answers := make(map[txn.Producer]*txn.Answer, len(asked))
	for producer, partitions := range asked {
		answer := &txn.Answer{}
		answers[producer] = answer
		waits.Add(1)
		r := txn.Request{TransactionalID: strings.Clone(*req.TransactionID), Producer: producer}
		p.handler.joinTxn(r, places(partitions), produceSupport.of(req.Version), func(a txn.Answer) {
			*answer = a
			waits.Done()
		})
	}
	waits.Wait()
	for producer, partitions := range asked {
		for _, partition := range partitions {
			v := p.verified[partition]
			v.err = retriedByProducers(answers[producer].Err, req.Version)
			p.verified[partition] = v
		}
	}
}

func places(partitions []*replica.Partition) []protocol.TopicPartition {
	var all []protocol.TopicPartition
	for _, p := range partitions {
		all = append(all, p.TopicPartition)
	}
	return all
}

// retriedByProducers says what will be over soon in a way that every producer
// takes as a reason to try again.
func retriedByProducers(err error, version int16) error {
	passing := []error{kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.NetworkException}
	if version < produceSupport.addsSince {
		passing = append(passing, kerr.ConcurrentTransactions)
	}
	for _, e := range passing {
		if errors.Is(err, e) {
			return fmt.Errorf("the transaction could not be verified: %s: %w", err.Error(), kerr.NotEnoughReplicas)
		}
	}
	return err
}
