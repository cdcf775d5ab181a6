package api

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/coordinator/group"
	"github.com/klamm-io/klamm/coordinator/txn"
	"github.com/klamm-io/klamm/security"
)

// txnOffsetCommit answers TxnOffsetCommit (28), versions 0 to 5:
//
//	2  leader epochs              3  flexible, the member (KIP-447)
//	4  TRANSACTION_ABORTABLE      5  the broker takes the group's offsets into the transaction (KIP-890)
func (h *Handler) txnOffsetCommit(r *listener.Request, req *kmsg.TxnOffsetCommitRequest) {
	switch {
	case !h.allowed(r, security.Write, txnResource(req.TransactionalID)):
		r.ReplyMsg(group.TxnOffsetsRefused(req, kerr.TransactionalIDAuthorizationFailed))
		return
	case !h.mayReadGroup(r, req.Group):
		r.ReplyMsg(group.TxnOffsetsRefused(req, kerr.GroupAuthorizationFailed))
		return
	}
	asked := req.Topics
	refused := h.keepCommittable(r, req)
	answer := func(resp *kmsg.TxnOffsetCommitResponse) {
		r.ReplyMsg(withRefused(resp, asked, refused))
	}
	if len(req.Topics) == 0 && len(asked) > 0 {
		answer(group.TxnOffsetsRefused(req, nil))
		return
	}
	h.commitInTxn(req, answer)
}

// commitInTxn sees to it that the group's offsets are in the producer's
// transaction, and commits them.
func (h *Handler) commitInTxn(req *kmsg.TxnOffsetCommitRequest, answer func(*kmsg.TxnOffsetCommitResponse)) {
	var confirmed uint64
	var verify func(left int)
	verify = func(left int) {
		number, err := h.groups.VerifyTxn(req.Group, req.ProducerID, req.ProducerEpoch)
		switch {
		case err != nil:
			answer(refusedOffsets(req, err))
			return
		case number == confirmed || left == 0:
			h.groups.TxnOffsetCommit(req, confirmed, answer)
			return
		}
		asked := txn.Request{TransactionalID: req.TransactionalID, Producer: txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}}
		h.joinTxn(asked, h.offsetsOf(req.Group), txnOffsetsSupport.of(req.Version), func(a txn.Answer) {
			if a.Err != nil {
				answer(refusedOffsets(req, a.Err))
				return
			}
			confirmed = number
			verify(left - 1)
		})
	}
	verify(verifications)
}

// txnOffsetsSupport is of TxnOffsetCommit.
var txnOffsetsSupport = support{addsSince: 5, abortableSince: 4}

// refusedOffsets answers every partition with an error, in a form that the version
// knows.
func refusedOffsets(req *kmsg.TxnOffsetCommitRequest, err error) *kmsg.TxnOffsetCommitResponse {
	if errors.Is(err, kerr.NetworkException) { // a client would take its own connection for broken
		err = kerr.CoordinatorLoadInProgress
	}
	if req.Version < 2 && errors.Is(err, kerr.CoordinatorLoadInProgress) {
		err = kerr.CoordinatorNotAvailable
	}
	return group.TxnOffsetsRefused(req, err)
}

// keepCommittable takes out of req what cannot be committed, and returns why.
func (h *Handler) keepCommittable(r *listener.Request, req *kmsg.TxnOffsetCommitRequest) map[topicIndex]error {
	img, refused := h.image(), map[topicIndex]error{}
	var kept []kmsg.TxnOffsetCommitRequestTopic
	for i, t := range req.Topics {
		topic, found := img.Topic(t.Topic)
		allowed := h.allowed(r, security.Read, topicResource(t.Topic))
		of := t
		of.Partitions = nil
		for j, p := range t.Partitions {
			switch {
			case !allowed:
				refused[topicIndex{i, j}] = kerr.TopicAuthorizationFailed
			case !found, p.Partition < 0, int(p.Partition) >= len(topic.Partitions):
				refused[topicIndex{i, j}] = kerr.UnknownTopicOrPartition
			default:
				of.Partitions = append(of.Partitions, p)
			}
		}
		if len(of.Partitions) > 0 {
			kept = append(kept, of)
		}
	}
	req.Topics = kept
	return refused
}

// topicIndex is a partition's place in a request.
type topicIndex struct{ topic, partition int }

// withRefused puts the answers of what was refused where they were asked for.
func withRefused(resp *kmsg.TxnOffsetCommitResponse, asked []kmsg.TxnOffsetCommitRequestTopic, refused map[topicIndex]error) *kmsg.TxnOffsetCommitResponse {
	if len(refused) == 0 {
		return resp
	}
	var codes []int16
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			codes = append(codes, p.ErrorCode)
		}
	}
	resp.Topics = nil
	for i, t := range asked {
		told := kmsg.NewTxnOffsetCommitResponseTopic()
		told.Topic = t.Topic
		for j, p := range t.Partitions {
			answer := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			answer.Partition = p.Partition
			if err, bad := refused[topicIndex{i, j}]; bad {
				answer.ErrorCode = errorCode(err)
			} else {
				answer.ErrorCode, codes = codes[0], codes[1:]
			}
			told.Partitions = append(told.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, told)
	}
	return resp
}
