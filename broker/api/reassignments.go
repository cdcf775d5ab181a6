package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// alterPartitionReassignments answers AlterPartitionReassignments (45), versions 0 and 1
// (KIP-455):
//
//	1  whether the number of replicas may change
func (h *Handler) alterPartitionReassignments(r *listener.Request, req *kmsg.AlterPartitionAssignmentsRequest) {
	if !h.allowed(r, security.Alter, security.ClusterResource) {
		r.ReplyMsg(notMoved(req, kerr.ClusterAuthorizationFailed))
		return
	}
	resp, err := decide(h, req, func(img *metadata.Image) ([]metadata.Record, *kmsg.AlterPartitionAssignmentsResponse) {
		return h.controller.AlterPartitionReassignments(img, req, h.inputs())
	})
	if err != nil {
		resp = notMoved(req, err)
	}
	r.ReplyMsg(resp)
}

// notMoved answers that nothing was decided.
func notMoved(req *kmsg.AlterPartitionAssignmentsRequest, err error) *kmsg.AlterPartitionAssignmentsResponse {
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	resp.ErrorCode, resp.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
	for _, asked := range req.Topics {
		told := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		told.Topic = asked.Topic
		for i := range asked.Partitions {
			p := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = asked.Partitions[i].Partition, resp.ErrorCode, resp.ErrorMessage
			told.Partitions = append(told.Partitions, p)
		}
		resp.Topics = append(resp.Topics, told)
	}
	return resp
}

// listPartitionReassignments answers ListPartitionReassignments (46), version 0
// (KIP-455): which partitions are being moved, as far as this node knows.
func (h *Handler) listPartitionReassignments(r *listener.Request, req *kmsg.ListPartitionReassignmentsRequest) {
	if !h.allowed(r, security.Describe, security.ClusterResource) {
		resp := req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
		resp.ErrorCode, resp.ErrorMessage = kerr.ClusterAuthorizationFailed.Code, protocol.ErrorMessage(kerr.ClusterAuthorizationFailed)
		r.ReplyMsg(resp)
		return
	}
	r.ReplyMsg(h.controller.ListPartitionReassignments(h.image(), req))
}
