package api

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/security"
)

// InitProducerId (22), versions 0 to 5, for idempotent producers (KIP-98):
//
//	2  flexible    3  a known id and epoch (KIP-360)    4, 5  other error codes
//
// A producer that names a transactional id is refused: transactions are not
// served, which FindCoordinator has told it before.

// producerIDs are the producer ids that the controller gave this broker and that
// no producer has yet.
type producerIDs struct {
	mu sync.Mutex
	// Guarded by mu.
	next, end int64
}

func (h *Handler) initProducerID(r *listener.Request, req *kmsg.InitProducerIDRequest) {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	id, err := int64(-1), error(nil)
	switch {
	case req.TransactionalID != nil && *req.TransactionalID == "", (req.ProducerID < 0) != (req.ProducerEpoch < 0):
		err = kerr.InvalidRequest
	case req.TransactionalID != nil:
		err = errNoTransactions
	case !h.allowed(r, security.IdempotentWrite, security.ClusterResource) && !h.allowed(r, security.Write, topicResource("")):
		err = kerr.ClusterAuthorizationFailed
	default:
		id, err = h.nextProducerID()
	}
	resp.ErrorCode = errorCode(err)
	resp.ProducerID, resp.ProducerEpoch = id, 0
	if err != nil {
		resp.ProducerID, resp.ProducerEpoch = -1, -1
	}
	r.ReplyMsg(resp)
}

// nextProducerID returns an id that no producer of the cluster has had.
func (h *Handler) nextProducerID() (int64, error) {
	p := &h.producers
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == p.end {
		var first int64
		_, err := h.quorum.Propose(context.Background(), func(img *metadata.Image) (records []metadata.Record, err error) {
			records, first, err = h.controller.AllocateProducerIDs(img)
			return records, err
		})
		if err != nil {
			return -1, err
		}
		p.next, p.end = first, first+controller.ProducerIDBlock
	}
	p.next++
	return p.next - 1, nil
}
