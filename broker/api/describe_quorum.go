package api

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/quorum"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// metadataTopic is how Kafka calls the log that the quorum agrees on.
const metadataTopic = "__cluster_metadata"

// describeQuorum answers DescribeQuorum (55), versions 0 to 2 (KIP-595):
//
//	1  when voters were heard of (KIP-836)    2  directories, endpoints, messages (KIP-853)
//
// A node that is a cluster of its own has no listener for a quorum, and tells none.
func (h *Handler) describeQuorum(r *listener.Request, req *kmsg.DescribeQuorumRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
	if req.Version >= 2 {
		resp.ErrorMessage = kmsg.StringPtr("")
	}
	switch {
	case !h.allowed(r, security.Describe, security.ClusterResource):
		err := kerr.ClusterAuthorizationFailed
		resp.ErrorCode, resp.ErrorMessage = err.Code, protocol.ErrorMessage(err)
	case !asksForMetadata(req):
		refuseQuorum(req, resp)
	case !h.cluster.Decides() && !h.forControllers:
		resp = h.quorumElsewhere(req, resp)
	default:
		resp.Topics = []kmsg.DescribeQuorumResponseTopic{{
			Topic: metadataTopic, Partitions: []kmsg.DescribeQuorumResponseTopicPartition{h.describeVoters(req.Version)},
		}}
		resp.Nodes = h.voterNodes()
	}
	r.ReplyMsg(resp)
}

// voterNodes are the voters' endpoints.
func (h *Handler) voterNodes() (nodes []kmsg.DescribeQuorumResponseNode) {
	for _, v := range h.quorum.Voters() {
		told := kmsg.NewDescribeQuorumResponseNode()
		told.NodeID = v.ID
		for _, e := range v.Endpoints {
			at := kmsg.NewDescribeQuorumResponseNodeListener()
			at.Name, at.Host, at.Port = e.Listener, e.Host, e.Port
			told.Listeners = append(told.Listeners, at)
		}
		if len(told.Listeners) > 0 {
			nodes = append(nodes, told)
		}
	}
	return nodes
}

// quorumPatience is how long is waited for a leader of the quorum where there is none:
// who asks for it does so because something is wrong, and wants to hear that.
const quorumPatience = 4 * time.Second

// quorumElsewhere lets the leader of the quorum describe it.
func (h *Handler) quorumElsewhere(req *kmsg.DescribeQuorumRequest, failed *kmsg.DescribeQuorumResponse) *kmsg.DescribeQuorumResponse {
	ctx, cancel := context.WithTimeout(h.serving, quorumPatience)
	defer cancel()
	resp, err := askedElsewhere[*kmsg.DescribeQuorumResponse](ctx, h, req)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("no leader of the quorum answers node %d; see that a majority of the voters runs, and that they reach each other: %w: %w",
			h.config.NodeID, err, kerr.RequestTimedOut)
	}
	if err != nil {
		failed.ErrorCode, failed.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
		return failed
	}
	return resp
}

// asksForMetadata reports whether the one partition that a quorum keeps is asked
// for, and nothing else.
func asksForMetadata(req *kmsg.DescribeQuorumRequest) bool {
	if len(req.Topics) != 1 || len(req.Topics[0].Partitions) != 1 {
		return false
	}
	return req.Topics[0].Topic == metadataTopic && req.Topics[0].Partitions[0].Partition == 0
}

func refuseQuorum(req *kmsg.DescribeQuorumRequest, resp *kmsg.DescribeQuorumResponse) {
	for _, t := range req.Topics {
		told := kmsg.NewDescribeQuorumResponseTopic()
		told.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewDescribeQuorumResponseTopicPartition()
			answer.Partition, answer.ErrorCode = p.Partition, kerr.UnknownTopicOrPartition.Code
			if req.Version >= 2 {
				answer.ErrorMessage = kmsg.StringPtr("This server does not host this topic-partition.")
			}
			told.Partitions = append(told.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, told)
	}
}

func (h *Handler) describeVoters(version int16) kmsg.DescribeQuorumResponseTopicPartition {
	told := kmsg.NewDescribeQuorumResponseTopicPartition()
	if version >= 2 {
		told.ErrorMessage = kmsg.StringPtr("")
	}
	status, err := h.quorum.Status()
	if err != nil {
		told.ErrorCode = errorCode(err)
		return told
	}
	told.LeaderID, told.LeaderEpoch, told.HighWatermark = status.Leader, status.Epoch, status.HighWatermark
	for _, v := range status.Voters {
		told.CurrentVoters = append(told.CurrentVoters, reached(v))
	}
	for _, o := range status.Observers {
		told.Observers = append(told.Observers, reached(o))
	}
	return told
}

// reached tells how far a node is.
func reached(r quorum.Reached) kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
	told := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
	told.ReplicaID, told.ReplicaDirectoryID, told.LogEndOffset = r.ID, r.DirectoryID, r.LogEnd
	told.LastFetchTimestamp, told.LastCaughtUpTimestamp = milliseconds(r.LastHeard), milliseconds(r.LastCaughtUp)
	return told
}

// milliseconds is a time as the protocol has it, -1 for none.
func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}
