package api

import (
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/coordinator/txn"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// The transaction APIs. What they do is the coordinator's; here is who may, which
// partitions there are, and the form of the answers.

// ownEpochs is transaction.version 2: each transaction has an epoch of its own.
const ownEpochs = 2

// hungUp closes the connection of a request that may belong to a transaction that
// is over: its client has gone on elsewhere, and no answer would be understood.
func hungUp(r *listener.Request, a txn.Answer) bool {
	if !errors.Is(a.Err, txn.ErrStaleConnection) {
		return false
	}
	r.Hangup(fmt.Errorf("a late %s of producer id %d: %w", nameOf(r.Key), a.Producer.ID, a.Err))
	return true
}

// addPartitionsToTxn answers AddPartitionsToTxn (24), versions 0 to 5:
//
//	2  PRODUCER_FENCED    3  flexible
//	4  several transactions, verification: for brokers (KIP-890)    5  TRANSACTION_ABORTABLE
func (h *Handler) addPartitionsToTxn(r *listener.Request, req *kmsg.AddPartitionsToTxnRequest) {
	if req.Version >= 4 {
		h.addPartitionsOfBroker(r, req)
		return
	}
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	answer := func(code func(topic string, partition int32) int16) {
		resp.Topics = addedTopics(req.Topics, code)
		r.ReplyMsg(resp)
	}
	if !h.allowed(r, security.Write, txnResource(req.TransactionalID)) {
		answer(func(string, int32) int16 { return kerr.TransactionalIDAuthorizationFailed.Code })
		return
	}
	var partitions []protocol.TopicPartition
	refused := map[protocol.TopicPartition]int16{}
	img := h.image()
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			tp := protocol.TopicPartition{Topic: t.Topic, Partition: p}
			if err := h.mayJoinTxn(r, img, tp); err != nil {
				refused[tp] = errorCode(err)
			}
			partitions = append(partitions, tp)
		}
	}
	if len(refused) > 0 { // then none is added
		answer(func(topic string, partition int32) int16 {
			if code, bad := refused[protocol.TopicPartition{Topic: topic, Partition: partition}]; bad {
				return code
			}
			return kerr.OperationNotAttempted.Code
		})
		return
	}
	h.txns.AddPartitions(clientTxn(r, req.TransactionalID, req.ProducerID, req.ProducerEpoch), partitions, 0, func(a txn.Answer) {
		if !hungUp(r, a) {
			answer(func(string, int32) int16 { return txnErrorCode(a.Err, req.Version, 2) })
		}
	})
}

// clientTxn is a request of a client whose transactions share an epoch.
func clientTxn(r *listener.Request, id string, producerID int64, epoch int16) txn.Request {
	return txn.Request{TransactionalID: id, Producer: txn.Producer{ID: producerID, Epoch: epoch}, Connection: r.Conn.Number}
}

func (h *Handler) mayJoinTxn(r *listener.Request, img *metadata.Image, tp protocol.TopicPartition) error {
	t, found := img.Topic(tp.Topic)
	switch {
	case metadata.IsInternal(tp.Topic), !h.allowed(r, security.Write, topicResource(tp.Topic)):
		return kerr.TopicAuthorizationFailed
	case !found, tp.Partition < 0, int(tp.Partition) >= len(t.Partitions):
		return kerr.UnknownTopicOrPartition
	}
	return nil
}

func addedTopics(topics []kmsg.AddPartitionsToTxnRequestTopic, code func(topic string, partition int32) int16) []kmsg.AddPartitionsToTxnResponseTopic {
	var all []kmsg.AddPartitionsToTxnResponseTopic
	for _, t := range topics {
		told := kmsg.NewAddPartitionsToTxnResponseTopic()
		told.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			answer.Partition, answer.ErrorCode = p, code(t.Topic, p)
			told.Partitions = append(told.Partitions, answer)
		}
		all = append(all, told)
	}
	return all
}

// addPartitionsOfBroker is the form in which brokers ask for their producers.
func (h *Handler) addPartitionsOfBroker(r *listener.Request, req *kmsg.AddPartitionsToTxnRequest) {
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	if !h.allowed(r, security.ClusterAction, security.ClusterResource) {
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		r.ReplyMsg(resp)
		return
	}
	resp.Transactions = make([]kmsg.AddPartitionsToTxnResponseTransaction, len(req.Transactions))
	var waits sync.WaitGroup
	for i := range req.Transactions {
		asked := &req.Transactions[i]
		waits.Add(1)
		h.addOfTransaction(asked, func(a txn.Answer) {
			resp.Transactions[i] = addedTransaction(asked, a)
			waits.Done()
		})
	}
	go func() {
		waits.Wait()
		r.ReplyMsg(resp)
	}()
}

func (h *Handler) addOfTransaction(asked *kmsg.AddPartitionsToTxnRequestTransaction, reply func(txn.Answer)) {
	var partitions []protocol.TopicPartition
	for _, t := range asked.Topics {
		for _, p := range t.Partitions {
			partitions = append(partitions, protocol.TopicPartition{Topic: t.Topic, Partition: p})
		}
	}
	req := txn.Request{TransactionalID: asked.TransactionalID, Producer: txn.Producer{ID: asked.ProducerID, Epoch: asked.ProducerEpoch}, Version: ownEpochs}
	if asked.VerifyOnly {
		h.txns.Verify(req, partitions, reply)
	} else {
		h.txns.AddPartitions(req, partitions, 0, reply)
	}
}

func addedTransaction(asked *kmsg.AddPartitionsToTxnRequestTransaction, a txn.Answer) kmsg.AddPartitionsToTxnResponseTransaction {
	missing := map[protocol.TopicPartition]bool{}
	for _, tp := range a.Missing {
		missing[tp] = true
	}
	told := kmsg.NewAddPartitionsToTxnResponseTransaction()
	told.TransactionalID = asked.TransactionalID
	for _, t := range asked.Topics {
		topic := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
			answer.Partition, answer.ErrorCode = p, errorCode(a.Err)
			if missing[protocol.TopicPartition{Topic: t.Topic, Partition: p}] {
				answer.ErrorCode = kerr.TransactionAbortable.Code
			}
			topic.Partitions = append(topic.Partitions, answer)
		}
		told.Topics = append(told.Topics, topic)
	}
	return told
}

// addOffsetsToTxn answers AddOffsetsToTxn (25), versions 0 to 4:
//
//	2  PRODUCER_FENCED    3  flexible    4  TRANSACTION_ABORTABLE
func (h *Handler) addOffsetsToTxn(r *listener.Request, req *kmsg.AddOffsetsToTxnRequest) {
	answer := func(a txn.Answer) {
		if hungUp(r, a) {
			return
		}
		resp := req.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
		resp.ErrorCode = txnErrorCode(a.Err, req.Version, 2)
		r.ReplyMsg(resp)
	}
	switch {
	case !h.allowed(r, security.Write, txnResource(req.TransactionalID)):
		answer(txn.Answer{Err: kerr.TransactionalIDAuthorizationFailed})
	case !h.mayReadGroup(r, req.Group):
		answer(txn.Answer{Err: kerr.GroupAuthorizationFailed})
	default:
		h.txns.AddPartitions(clientTxn(r, req.TransactionalID, req.ProducerID, req.ProducerEpoch), h.offsetsOf(req.Group), 0, answer)
	}
}

// offsetsOf is where a group's offsets are kept.
func (h *Handler) offsetsOf(group string) []protocol.TopicPartition {
	return []protocol.TopicPartition{{Topic: metadata.ConsumerOffsets, Partition: h.groups.Partition(group)}}
}

// endTxn answers EndTxn (26), versions 0 to 5:
//
//	2  PRODUCER_FENCED          3  flexible
//	4  TRANSACTION_ABORTABLE    5  the producer of the next transaction (KIP-890)
func (h *Handler) endTxn(r *listener.Request, req *kmsg.EndTxnRequest) {
	answer := func(a txn.Answer) {
		if hungUp(r, a) {
			return
		}
		resp := req.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = txnErrorCode(a.Err, req.Version, 2)
		resp.ProducerID, resp.ProducerEpoch = a.Producer.ID, a.Producer.Epoch
		r.ReplyMsg(resp)
	}
	if !h.allowed(r, security.Write, txnResource(req.TransactionalID)) {
		answer(txn.Answer{Producer: txn.None, Err: kerr.TransactionalIDAuthorizationFailed})
		return
	}
	t := clientTxn(r, req.TransactionalID, req.ProducerID, req.ProducerEpoch)
	if req.Version >= 5 {
		t.Version = ownEpochs
	}
	h.txns.End(t, req.Commit, answer)
}
