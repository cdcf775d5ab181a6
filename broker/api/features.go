package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// addFeatures tells of the feature levels that this node supports, and of those that
// the cluster is at, which clients go by (KIP-584). Clients below version 4 do not
// take a level 0 for supported.
func (h *Handler) addFeatures(resp *kmsg.ApiVersionsResponse) {
	for _, f := range controller.Features() {
		supported := kmsg.NewApiVersionsResponseSupportedFeature()
		supported.Name, supported.MinVersion, supported.MaxVersion = f.Name, f.Min, f.Max
		if f.Min > 0 || resp.Version >= 4 {
			resp.SupportedFeatures = append(resp.SupportedFeatures, supported)
		}
	}
	// A client believes what comes with a later epoch. The offset is asked for first: it
	// must not be later than what is told.
	resp.FinalizedFeaturesEpoch = h.cluster.Applied()
	for name, level := range h.image().Features() {
		finalized := kmsg.NewApiVersionsResponseFinalizedFeature()
		finalized.Name, finalized.MinVersionLevel, finalized.MaxVersionLevel = name, level, level
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, finalized)
	}
}

// updateFeatures answers UpdateFeatures (57), versions 0 to 2 (KIP-584):
//
//	1  kinds of downgrades, and only to ask    2  no results of single features
func (h *Handler) updateFeatures(r *listener.Request, req *kmsg.UpdateFeaturesRequest) {
	err := unless(h.allowed(r, security.Alter, security.ClusterResource), kerr.ClusterAuthorizationFailed)
	var resp *kmsg.UpdateFeaturesResponse
	if err == nil {
		resp, err = decide(h, req, func(img *metadata.Image) ([]metadata.Record, *kmsg.UpdateFeaturesResponse) {
			return h.controller.UpdateFeatures(img, req, h.inputs())
		})
	}
	if err != nil {
		resp = req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
		resp.ErrorCode, resp.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
	}
	r.ReplyMsg(resp)
}
