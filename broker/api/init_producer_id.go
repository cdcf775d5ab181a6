package api

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/coordinator/txn"
	"github.com/klamm-io/klamm/security"
)

// InitProducerId (22), versions 0 to 5 (KIP-98):
//
//	2  flexible                      3  a known id and epoch (KIP-360)
//	4  PRODUCER_FENCED               5  TRANSACTION_ABORTABLE (KIP-890)

func (h *Handler) initProducerID(r *listener.Request, req *kmsg.InitProducerIDRequest) {
	reply := func(a txn.Answer) {
		resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ErrorCode = txnErrorCode(a.Err, req.Version, 4)
		resp.ProducerID, resp.ProducerEpoch = a.Producer.ID, a.Producer.Epoch
		r.ReplyMsg(resp)
	}
	refuse := func(err error) { reply(txn.Answer{Producer: txn.None, Err: err}) }
	has := txn.None
	if req.Version >= 3 {
		has = txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	}
	switch {
	case req.TransactionalID != nil && *req.TransactionalID == "", (has.ID < 0) != (has.Epoch < 0):
		refuse(kerr.InvalidRequest)
	case req.TransactionalID != nil && !h.allowed(r, security.Write, txnResource(*req.TransactionalID)):
		refuse(kerr.TransactionalIDAuthorizationFailed)
	case req.TransactionalID == nil && !h.mayProduceSomewhere(r):
		refuse(kerr.ClusterAuthorizationFailed)
	case req.TransactionalID != nil:
		timeout := time.Duration(req.TransactionTimeoutMillis) * time.Millisecond
		h.txns.InitProducerID(txn.Request{TransactionalID: *req.TransactionalID, Producer: has}, timeout, reply)
	default:
		id, err := h.newID()
		if err != nil {
			refuse(err)
			return
		}
		reply(txn.Answer{Producer: txn.Producer{ID: id}})
	}
}

func (h *Handler) mayProduceSomewhere(r *listener.Request) bool {
	return h.may(r, security.IdempotentWrite, security.ClusterResource) || h.allowedSomewhere(r, security.Write, security.Topic)
}

// txnErrorCode is the code of a transaction's error. Before the version since, an
// API does not know PRODUCER_FENCED.
func txnErrorCode(err error, version, since int16) int16 {
	if version < since && errors.Is(err, kerr.ProducerFenced) {
		err = kerr.InvalidProducerEpoch
	}
	return errorCode(err)
}
