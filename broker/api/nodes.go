package api

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/node"
	"github.com/klamm-io/klamm/security"
)

// What the nodes of a cluster ask each other, and no client may.

// ActiveController is what brokers ask of the active controller. Where this node is
// not it, the answers say NOT_CONTROLLER.
type ActiveController interface {
	RegisterBroker(context.Context, *kmsg.BrokerRegistrationRequest) *kmsg.BrokerRegistrationResponse
	Heartbeat(context.Context, *kmsg.BrokerHeartbeatRequest) *kmsg.BrokerHeartbeatResponse
	AlterPartition(context.Context, *kmsg.AlterPartitionRequest) *kmsg.AlterPartitionResponse
	AllocateProducerIDs(context.Context, *kmsg.AllocateProducerIDsRequest) *kmsg.AllocateProducerIDsResponse
	AssignReplicasToDirs(context.Context, *kmsg.AssignReplicasToDirsRequest) *kmsg.AssignReplicasToDirsResponse
}

// Voter is this node's part in the quorum of the metadata.
type Voter interface {
	// Receive takes a message of another voter.
	Receive(message []byte) error
	// ReadMetadata answers a node that only observes.
	ReadMetadata(context.Context, *node.ReadMetadataRequest) *node.ReadMetadataResponse
	// AddVoter and RemoveVoter change who votes, where this node leads.
	AddVoter(context.Context, metadata.Voter) error
	RemoveVoter(ctx context.Context, id int32, directory [16]byte) error
}

// actsAs reports whether r came on a connection that the given node made, and not
// one on which a client says it is that node.
func (h *Handler) actsAs(r *listener.Request, id int32) bool {
	return h.ofNode(r) && r.Conn.Principal == security.Node(id)
}

// ofNode reports whether r came on a connection that one of the cluster's nodes made.
//
// The proof is the incarnation of its registration, a random number that is in the
// metadata and told to no client. A node that is not registered can prove nothing
// yet: it is believed where controllers listen, to where no client should reach, and
// nowhere else, and where clients authenticate by SASL there, only if it may do what
// nodes do. What cannot be proved yet may be once this node knows more.
func (h *Handler) ofNode(r *listener.Request) bool {
	c := r.Conn
	if c.Principal.Type == security.NodeType || c.Claim == nil {
		return c.Principal.Type == security.NodeType
	}
	b, known := h.image().Broker(c.Claim.ID)
	if h.forControllers && h.actsAsNode(c) || known && b.Incarnation == c.Claim.Incarnation {
		c.Principal, c.Claim = security.Node(c.Claim.ID), nil
		if c.SASL != nil {
			c.SASL.Keep()
		}
	}
	return c.Principal.Type == security.NodeType
}

// actsAsNode reports whether who has authenticated may do what nodes do.
func (h *Handler) actsAsNode(c *listener.Conn) bool {
	return c.SASL == nil || h.authorizer.Allowed(c.Principal, c.Host(), security.ClusterAction, security.ClusterResource)
}

// hello answers a node that says who it is.
func (h *Handler) hello(r *listener.Request, req *node.HelloRequest) {
	resp := req.ResponseKind().(*node.HelloResponse)
	resp.NodeID = h.config.NodeID
	if err := h.greet(req); err != nil {
		h.logger.Warn("a node is refused", "node_id", req.NodeID, "client", r.Conn.Remote.String(), "listener", r.Conn.Listener, "err", err)
		resp.ErrorCode, resp.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
	} else if r.Conn.Principal.Type != security.NodeType {
		r.Conn.Claim = &listener.NodeClaim{ID: req.NodeID, Incarnation: req.Incarnation}
	}
	r.ReplyMsg(resp)
}

// greet says why a node is of no concern here.
func (h *Handler) greet(req *node.HelloRequest) error {
	switch {
	case req.ClusterID != h.clusterID:
		return fmt.Errorf("node %d is of cluster %s, this is cluster %s: correct its address, or format its folders for this cluster: %w",
			req.NodeID, req.ClusterID, h.clusterID, kerr.InconsistentClusterID)
	case req.NodeID == h.config.NodeID && req.Incarnation != h.incarnation:
		return fmt.Errorf("node id %d is this node's own: give the other another node.id: %w", req.NodeID, kerr.DuplicateBrokerRegistration)
	}
	return nil
}

// controllerPatience bounds how long a node's request waits for its decision. A node
// gives up sooner.
const controllerPatience = 10 * time.Second

// forNodes makes a table entry of what the active controller answers a node.
func forNodes[R any, P interface {
	*R
	kmsg.Request
}, A kmsg.Response](oldest, newest int16, answer func(ActiveController, context.Context, P) A) api {
	return serves(oldest, newest, func(h *Handler, r *listener.Request, req P) {
		if !h.fromNode(r) {
			return
		}
		ctx, cancel := context.WithTimeout(h.serving, controllerPatience)
		defer cancel()
		r.ReplyMsg(answer(h.active, ctx, req))
	})
}

// fromNode hangs up on who is none of the cluster's nodes.
func (h *Handler) fromNode(r *listener.Request) bool {
	if h.ofNode(r) {
		return true
	}
	r.Hangup(fmt.Errorf("%s is for the cluster's nodes, and %s has not proved to be one: %w", nameOf(r.Key), r.Conn.Principal, kerr.ClusterAuthorizationFailed))
	return false
}

// consensus takes a message between voters. It has no answer.
func (h *Handler) consensus(r *listener.Request, req *node.ConsensusRequest) {
	if !h.fromNode(r) {
		return
	}
	if err := h.voter.Receive(req.Message); err != nil {
		r.Hangup(err)
		return
	}
	r.ReplyNothing()
}

// readMetadata answers a node that only observes the metadata.
func (h *Handler) readMetadata(r *listener.Request, req *node.ReadMetadataRequest) {
	if !h.fromNode(r) {
		return
	}
	ctx, cancel := context.WithTimeout(h.serving, controllerPatience)
	defer cancel()
	r.ReplyMsg(h.voter.ReadMetadata(ctx, req))
}
