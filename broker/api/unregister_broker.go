package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// unregisterBroker answers UnregisterBroker (64), version 0: a broker that will not
// come back is taken out of the cluster.
func (h *Handler) unregisterBroker(r *listener.Request, req *kmsg.UnregisterBrokerRequest) {
	resp, err := h.unregister(r, req)
	if err != nil {
		resp = req.ResponseKind().(*kmsg.UnregisterBrokerResponse)
		resp.ErrorCode, resp.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
	}
	r.ReplyMsg(resp)
}

func (h *Handler) unregister(r *listener.Request, req *kmsg.UnregisterBrokerRequest) (*kmsg.UnregisterBrokerResponse, error) {
	switch {
	case !h.allowed(r, security.Alter, security.ClusterResource):
		return nil, kerr.ClusterAuthorizationFailed
	case !h.config.Roles.Set && req.BrokerID == h.config.NodeID:
		return nil, fmt.Errorf("broker %d is a cluster of its own; stop it instead: %w", req.BrokerID, kerr.InvalidRequest)
	}
	return decide(h, req, func(img *metadata.Image) ([]metadata.Record, *kmsg.UnregisterBrokerResponse) {
		return h.controller.UnregisterBroker(img, req, h.inputs())
	})
}
