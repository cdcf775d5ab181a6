package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/security"
)

// electLeaders answers ElectLeaders (43), versions 0 to 2:
//
//	1  kinds of elections, which may lose records too (KIP-460)    2  flexible
func (h *Handler) electLeaders(r *listener.Request, req *kmsg.ElectLeadersRequest) {
	if !h.allowed(r, security.Alter, security.ClusterResource) {
		r.ReplyMsg(controller.NobodyElected(req, kerr.ClusterAuthorizationFailed))
		return
	}
	resp, err := decide(h, req, func(img *metadata.Image) ([]metadata.Record, *kmsg.ElectLeadersResponse) {
		return h.controller.ElectLeaders(img, req, h.inputs())
	})
	if err != nil {
		resp = controller.NobodyElected(req, err)
	}
	r.ReplyMsg(resp)
}
