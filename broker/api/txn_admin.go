package api

import (
	"regexp"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/coordinator/txn"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// What operators ask about transactions, and how a hanging one is ended (KIP-664).

// describeTransactions answers DescribeTransactions (65), version 0.
func (h *Handler) describeTransactions(r *listener.Request, req *kmsg.DescribeTransactionsRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	for _, id := range req.TransactionalIDs {
		told := kmsg.NewDescribeTransactionsResponseTransactionState()
		told.TransactionalID = id
		d, err := h.describableTxn(r, id)
		told.ErrorCode = errorCode(err)
		if err == nil {
			told.State, told.TimeoutMillis, told.StartTimestamp = d.State.String(), d.TimeoutMs, d.StartMs
			told.ProducerID, told.ProducerEpoch = d.Producer.ID, d.Producer.Epoch
			told.Topics = h.describedTopics(r, d.Partitions)
		}
		resp.TransactionStates = append(resp.TransactionStates, told)
	}
	r.ReplyMsg(resp)
}

func (h *Handler) describableTxn(r *listener.Request, id string) (txn.Description, error) {
	switch {
	case !h.allowed(r, security.Describe, txnResource(id)):
		return txn.Description{}, kerr.TransactionalIDAuthorizationFailed
	case id == "":
		return txn.Description{}, kerr.InvalidRequest
	}
	return h.txns.Describe(id)
}

// describedTopics groups sorted partitions, of topics that the client may know of.
func (h *Handler) describedTopics(r *listener.Request, partitions []protocol.TopicPartition) []kmsg.DescribeTransactionsResponseTransactionStateTopic {
	var topics []kmsg.DescribeTransactionsResponseTransactionStateTopic
	for _, tp := range partitions {
		if !h.may(r, security.Describe, topicResource(tp.Topic)) {
			continue
		}
		if n := len(topics); n == 0 || topics[n-1].Topic != tp.Topic {
			told := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
			told.Topic = tp.Topic
			topics = append(topics, told)
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, tp.Partition)
	}
	return topics
}

// listTransactions answers ListTransactions (66), versions 0 to 2:
//
//	1  by how long they run (KIP-994)    2  by a pattern of their ids (KIP-1152)
func (h *Handler) listTransactions(r *listener.Request, req *kmsg.ListTransactionsRequest) {
	resp := req.ResponseKind().(*kmsg.ListTransactionsResponse)
	filter := txn.Filter{States: req.StateFilters, ProducerIDs: req.ProducerIDFilters, RunningForMs: -1}
	if req.Version >= 1 {
		filter.RunningForMs = req.DurationFilterMillis
	}
	if req.TransactionalIDPattern != nil && *req.TransactionalIDPattern != "" {
		pattern, err := regexp.Compile("^(?:" + *req.TransactionalIDPattern + ")$")
		if err != nil {
			resp.ErrorCode = kerr.InvalidRegularExpression.Code
			r.ReplyMsg(resp)
			return
		}
		filter.ID = pattern
	}
	all, err := h.txns.List(filter)
	resp.ErrorCode = errorCode(err)
	if err == nil {
		resp.UnknownStateFilters = filter.UnknownStates()
	}
	for _, d := range all {
		if !h.may(r, security.Describe, txnResource(d.TransactionalID)) {
			continue
		}
		told := kmsg.NewListTransactionsResponseTransactionState()
		told.TransactionalID, told.ProducerID, told.TransactionState = d.TransactionalID, d.Producer.ID, d.State.String()
		resp.TransactionStates = append(resp.TransactionStates, told)
	}
	r.ReplyMsg(resp)
}

// describeProducers answers DescribeProducers (61), version 0.
func (h *Handler) describeProducers(r *listener.Request, req *kmsg.DescribeProducersRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
	for _, t := range req.Topics {
		told := kmsg.NewDescribeProducersResponseTopic()
		told.Topic = t.Topic
		for _, p := range t.Partitions {
			told.Partitions = append(told.Partitions, h.producersOf(r, t.Topic, p))
		}
		resp.Topics = append(resp.Topics, told)
	}
	r.ReplyMsg(resp)
}

func (h *Handler) producersOf(r *listener.Request, topic string, index int32) kmsg.DescribeProducersResponseTopicPartition {
	told := kmsg.NewDescribeProducersResponseTopicPartition()
	told.Partition = index
	if !h.allowed(r, security.Read, topicResource(topic)) {
		told.ErrorCode, told.ErrorMessage = kerr.TopicAuthorizationFailed.Code, protocol.ErrorMessage(kerr.TopicAuthorizationFailed)
		return told
	}
	p, err := h.led(topic, index)
	if err != nil {
		told.ErrorCode = errorCode(err)
		if _, known := h.image().Topic(topic); !known {
			told.ErrorMessage = protocol.ErrorMessage(err)
		}
		return told
	}
	for _, s := range p.Log().Producers() {
		a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		a.ProducerID, a.ProducerEpoch = s.ID, int32(s.Epoch)
		a.LastSequence, a.LastTimestamp = s.LastSequence, s.LastTimestamp
		a.CoordinatorEpoch, a.CurrentTxnStartOffset = s.CoordinatorEpoch, s.TxnFirstOffset
		told.ActiveProducers = append(told.ActiveProducers, a)
	}
	return told
}

// writeTxnMarkers answers WriteTxnMarkers (27), versions 1 and 2:
//
//	1  flexible    2  the transaction.version by which the transaction ended
func (h *Handler) writeTxnMarkers(r *listener.Request, req *kmsg.WriteTxnMarkersRequest) {
	resp := req.ResponseKind().(*kmsg.WriteTxnMarkersResponse)
	refused := error(nil)
	if !h.may(r, security.ClusterAction, security.ClusterResource) && !h.allowed(r, security.Alter, security.ClusterResource) {
		refused = kerr.ClusterAuthorizationFailed
	}
	resp.Markers = make([]kmsg.WriteTxnMarkersResponseMarker, len(req.Markers))
	newest := newestCoordinator(h.image())
	var waits sync.WaitGroup
	for i := range req.Markers {
		m, why := &req.Markers[i], refused
		if why == nil && (m.ProducerID < 0 || m.ProducerEpoch < 0 || m.CoordinatorEpoch > newest) {
			why = kerr.InvalidRequest
		}
		h.writeMarker(m, &resp.Markers[i], why, &waits)
	}
	go func() {
		waits.Wait()
		r.ReplyMsg(resp)
	}()
}

// newestCoordinator is the newest epoch that a coordinator of transactions can
// have. A marker of a later one would fence every true coordinator out of its
// partition, and the transactions there would never end.
func newestCoordinator(img *metadata.Image) (epoch int32) {
	if t, found := img.Topic(metadata.TransactionState); found {
		for i := range t.Partitions {
			epoch = max(epoch, t.Partitions[i].LeaderEpoch)
		}
	}
	return epoch
}

// writeMarker writes one marker into all its partitions; waits is done with the
// last of them.
func (h *Handler) writeMarker(asked *kmsg.WriteTxnMarkersRequestMarker, told *kmsg.WriteTxnMarkersResponseMarker, refused error, waits *sync.WaitGroup) {
	marker := step.Marker{
		ProducerID: asked.ProducerID, ProducerEpoch: asked.ProducerEpoch, CoordinatorEpoch: asked.CoordinatorEpoch,
		Commit: asked.Committed, Version: int16(asked.TransactionVersion),
	}
	told.ProducerID = asked.ProducerID
	told.Topics = make([]kmsg.WriteTxnMarkersResponseMarkerTopic, len(asked.Topics))
	for i, t := range asked.Topics {
		told.Topics[i].Topic = t.Topic
		told.Topics[i].Partitions = make([]kmsg.WriteTxnMarkersResponseMarkerTopicPartition, len(t.Partitions))
		for j, p := range t.Partitions {
			answer := &told.Topics[i].Partitions[j]
			answer.Partition, answer.ErrorCode = p, errorCode(refused)
			if refused != nil {
				continue
			}
			waits.Add(1)
			h.markers.WriteMarker(marker, protocol.TopicPartition{Topic: t.Topic, Partition: p}, func(err error) {
				answer.ErrorCode = errorCode(err)
				waits.Done()
			})
		}
	}
}
