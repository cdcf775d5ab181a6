package api

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// FindCoordinator (10), versions 0 to 6.
//
//	1  key types                    2  throttle on violation
//	3  flexible                     4  several keys at once (KIP-699)
//	5  TRANSACTION_ABORTABLE        6  share groups (KIP-932)

// Key types.
const (
	groupKey = 0
	txnKey   = 1
	shareKey = 2 // not served
)

func (h *Handler) findCoordinator(r *listener.Request, req *kmsg.FindCoordinatorRequest) {
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	if req.Version < 4 {
		c := h.coordinatorOf(r, req.CoordinatorType, req.CoordinatorKey)
		resp.ErrorCode, resp.ErrorMessage = c.ErrorCode, c.ErrorMessage
		resp.NodeID, resp.Host, resp.Port = c.NodeID, c.Host, c.Port
		if req.Version >= 1 && c.ErrorCode == 0 {
			resp.ErrorMessage = addressOf("NONE")
		}
		r.ReplyMsg(resp)
		return
	}
	for _, key := range req.CoordinatorKeys {
		resp.Coordinators = append(resp.Coordinators, h.coordinatorOf(r, req.CoordinatorType, key))
	}
	r.ReplyMsg(resp)
}

func (h *Handler) coordinatorOf(r *listener.Request, keyType int8, key string) kmsg.FindCoordinatorResponseCoordinator {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key = key
	node, err := h.findCoordinatorNode(r, keyType, key)
	if err != nil {
		c.NodeID, c.Host, c.Port = -1, "", -1
		c.ErrorCode = errorCode(err)
		c.ErrorMessage = protocol.ErrorMessage(err)
		if r.Version >= 4 && (keyType == shareKey || refusedToClient(err)) {
			c.ErrorMessage = addressOf("")
		}
		return c
	}
	e, _ := endpointOf(node, r.Conn.Listener)
	c.NodeID, c.Host, c.Port = node.ID, e.Host, int32(e.Port)
	if r.Version >= 4 {
		c.ErrorMessage = addressOf("")
	}
	return c
}

// refusedToClient reports whether the client may not know of a coordinator.
func refusedToClient(err error) bool {
	return errors.Is(err, kerr.GroupAuthorizationFailed) || errors.Is(err, kerr.TransactionalIDAuthorizationFailed)
}

func (h *Handler) findCoordinatorNode(r *listener.Request, keyType int8, key string) (*metadata.Broker, error) {
	switch keyType {
	case groupKey:
		if !h.allowed(r, security.Describe, groupResource(key)) {
			return nil, kerr.GroupAuthorizationFailed
		}
		return h.leaderOf(metadata.ConsumerOffsets, h.groups.Partition(key))
	case txnKey:
		if !h.allowed(r, security.Describe, txnResource(key)) {
			return nil, kerr.TransactionalIDAuthorizationFailed
		}
		return h.leaderOf(metadata.TransactionState, h.txns.Partition(key))
	}
	return nil, kerr.InvalidRequest
}

// leaderOf returns who leads a partition of a coordinator's topic, which is created
// with its first use.
func (h *Handler) leaderOf(topic string, partition int32) (*metadata.Broker, error) {
	img := h.image()
	t, found := img.Topic(topic)
	if !found {
		if err := h.createByName([]string{topic}); err != nil {
			return nil, fmt.Errorf("create %s: %w: %w", topic, err, kerr.CoordinatorNotAvailable)
		}
		img = h.image()
		if t, found = img.Topic(topic); !found {
			return nil, kerr.CoordinatorNotAvailable
		}
	}
	if int(partition) >= len(t.Partitions) {
		return nil, kerr.CoordinatorNotAvailable
	}
	if leader, known := img.Broker(t.Partitions[partition].Leader); known {
		return leader, nil
	}
	return nil, kerr.CoordinatorNotAvailable
}
