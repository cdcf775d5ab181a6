package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// What a client may ask for by its address: a broker, or a controller.
const (
	brokerEndpoint     = 1
	controllerEndpoint = 2
)

// describeCluster answers DescribeCluster (60), versions 0 to 2 (KIP-700):
//
//	1  brokers or controllers (KIP-919)    2  fenced brokers too
func (h *Handler) describeCluster(r *listener.Request, req *kmsg.DescribeClusterRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	if req.Version >= 1 {
		if err := h.endpointTypeError(req.EndpointType); err != nil {
			resp.ErrorCode, resp.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
			r.ReplyMsg(resp)
			return
		}
	}
	img := h.image()
	resp.ClusterID, resp.ControllerID = img.ClusterID, controllerFor(img)
	for b := range img.Brokers() {
		if b.Fenced && !req.IncludeFencedBrokers {
			continue
		}
		if e, ok := endpointOf(b, r.Conn.Listener); ok {
			told := kmsg.NewDescribeClusterResponseBroker()
			told.IsFenced = b.Fenced
			told.NodeID, told.Host, told.Port = b.ID, e.Host, int32(e.Port)
			if b.Rack != "" {
				told.Rack = &b.Rack
			}
			resp.Brokers = append(resp.Brokers, told)
		}
	}
	resp.ClusterAuthorizedOperations = h.operations(r, req.IncludeClusterAuthorizedOperations, security.ClusterResource, clusterOperations)
	r.ReplyMsg(resp)
}

// describeControllers answers DescribeCluster where controllers listen: by that a
// client finds the active one that was given some controller's address
// (--bootstrap-controller). As at Kafka's controllers, where clients have no business
// otherwise, it takes more rights than at a broker.
func (h *Handler) describeControllers(r *listener.Request, req *kmsg.DescribeClusterRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.ControllerID = -1
	err := h.endpointTypeError(req.EndpointType)
	if err == nil && !h.allowed(r, security.Alter, security.ClusterResource) {
		err = kerr.ClusterAuthorizationFailed
	}
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
		r.ReplyMsg(resp)
		return
	}
	resp.EndpointType, resp.ClusterID, resp.ControllerID = controllerEndpoint, h.clusterID, h.image().ControllerID
	for _, v := range h.quorum.Voters() {
		if len(v.Endpoints) > 0 {
			told := kmsg.NewDescribeClusterResponseBroker()
			told.NodeID, told.Host, told.Port = v.ID, v.Endpoints[0].Host, int32(v.Endpoints[0].Port)
			resp.Brokers = append(resp.Brokers, told)
		}
	}
	resp.ClusterAuthorizedOperations = h.operations(r, req.IncludeClusterAuthorizedOperations, security.ClusterResource, clusterOperations)
	r.ReplyMsg(resp)
}

// endpointTypeError says why a request for the given type of endpoint came to
// the wrong place.
func (h *Handler) endpointTypeError(kind int8) error {
	here, names := int8(brokerEndpoint), map[int8]string{brokerEndpoint: "BROKER", controllerEndpoint: "CONTROLLER"}
	if h.forControllers {
		here = controllerEndpoint
	}
	switch {
	case kind == here:
		return nil
	case names[kind] == "":
		return fmt.Errorf("Unsupported endpoint type %d: %w", kind, kerr.UnsupportedEndpointType)
	}
	return fmt.Errorf("The request was sent to an endpoint of type %s, but we wanted an endpoint of type %s: %w", names[here], names[kind], kerr.MismatchedEndpointType)
}
