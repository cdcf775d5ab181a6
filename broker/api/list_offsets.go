package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/storage/log"
)

// ListOffsets (2), versions 1 to 11.
//
//	2   isolation level            4   leader epochs (KIP-320)
//	6   flexible                   7   max timestamp (KIP-734)
//	8   earliest local (KIP-405)   9   latest tiered (KIP-1005)
//	10  a time-out                 11  earliest pending upload (KIP-1023)

// Timestamps that stand for a place in the log, and the first version that has
// them.
const (
	latest           = -1
	earliest         = -2
	maxTimestamp     = -3
	earliestLocal    = -4
	latestTiered     = -5
	earliestToUpload = -6
)

var placeSince = map[int64]int16{maxTimestamp: 7, earliestLocal: 8, latestTiered: 9, earliestToUpload: 11}

// nowhere is the answer where no record is meant.
var nowhere = log.TimestampOffset{Offset: -1, Timestamp: -1, LeaderEpoch: -1}

func (h *Handler) listOffsets(r *listener.Request, req *kmsg.ListOffsetsRequest) {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	asked := timesAsked(req)
	for i := range req.Topics {
		t := &req.Topics[i]
		told := kmsg.NewListOffsetsResponseTopic()
		told.Topic = t.Topic
		for j := range t.Partitions {
			p := &t.Partitions[j]
			times := asked[protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}]
			if times < 0 {
				continue // it was answered
			}
			answer := kmsg.NewListOffsetsResponseTopicPartition()
			answer.Partition = p.Partition
			found, err := nowhere, error(kerr.InvalidRequest)
			if times == 1 {
				found, err = h.listOffset(r, req, t.Topic, p)
			}
			asked[protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = answered
			if err != nil {
				found = nowhere
			}
			answer.ErrorCode = errorCode(err)
			answer.Offset, answer.Timestamp, answer.LeaderEpoch = found.Offset, found.Timestamp, found.LeaderEpoch
			told.Partitions = append(told.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, told)
	}
	r.ReplyMsg(resp)
}

// answered stands for a count where the answer was given.
const answered = -1

// timesAsked counts how often each partition is asked for: more than once is an
// error.
func timesAsked(req *kmsg.ListOffsetsRequest) map[protocol.TopicPartition]int {
	asked := map[protocol.TopicPartition]int{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			asked[protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}]++
		}
	}
	return asked
}

func (h *Handler) listOffset(r *listener.Request, req *kmsg.ListOffsetsRequest, topic string, asked *kmsg.ListOffsetsRequestTopicPartition) (log.TimestampOffset, error) {
	if !h.allowed(r, security.Describe, topicResource(topic)) {
		return nowhere, kerr.TopicAuthorizationFailed
	}
	if since, known := placeSince[asked.Timestamp]; asked.Timestamp < earliest && (!known || req.Version < since) {
		return nowhere, kerr.UnsupportedVersion
	}
	p, err := h.led(topic, asked.Partition)
	if err != nil {
		return nowhere, err
	}
	if err := p.CheckEpoch(asked.CurrentLeaderEpoch); err != nil {
		return nowhere, err
	}
	if asked.Timestamp == latest && req.ReplicaID >= 0 && h.actsAs(r, req.ReplicaID) {
		return lookUp(p, latest, p.Log().End())
	}
	if err := endKnown(p, asked.Timestamp, req.Version); err != nil {
		return nowhere, err
	}
	return lookUp(p, asked.Timestamp, p.ReadEnd(req.IsolationLevel == 1))
}

// endKnown refuses to say where records end while a new leader does not know what
// was committed before it led (KIP-207).
func endKnown(p *replica.Partition, timestamp int64, version int16) error {
	if timestamp == earliest || timestamp == earliestLocal {
		return nil
	}
	_, err := p.LatestOffset()
	if err != nil && version < 5 {
		return fmt.Errorf("%w: %w", kerr.LeaderNotAvailable, err)
	}
	return err
}

// lookUp finds the place that timestamp stands for, among the records below end.
func lookUp(p *replica.Partition, timestamp, end int64) (log.TimestampOffset, error) {
	start := p.Log().Start()
	var found log.TimestampOffset
	var exists bool
	var err error
	switch timestamp {
	case latest:
		return log.TimestampOffset{Offset: end, Timestamp: -1, LeaderEpoch: p.LeaderEpoch()}, nil
	case earliest, earliestLocal:
		return log.TimestampOffset{Offset: start, Timestamp: -1, LeaderEpoch: p.Log().EpochAt(start)}, nil
	case latestTiered, earliestToUpload:
		return nowhere, nil // nothing is ever tiered
	case maxTimestamp:
		found, exists, err = p.Log().MaxTimestamp(end)
	default:
		found, exists, err = p.Log().OffsetForTimestamp(timestamp, end)
	}
	if err != nil {
		return nowhere, fmt.Errorf("list offsets of %s: %w", p, err)
	}
	if !exists {
		return nowhere, nil
	}
	return found, nil
}

// offsetForLeaderEpoch answers OffsetForLeaderEpoch (23), versions 2 to 4
// (KIP-320):
//
//	3  the replica that asks    4  flexible
func (h *Handler) offsetForLeaderEpoch(r *listener.Request, req *kmsg.OffsetForLeaderEpochRequest) {
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for i := range req.Topics {
		t := &req.Topics[i]
		told := kmsg.NewOffsetForLeaderEpochResponseTopic()
		told.Topic = t.Topic
		for _, asked := range t.Partitions {
			answer := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			answer.Partition, answer.LeaderEpoch, answer.EndOffset = asked.Partition, -1, -1
			p, err := h.describable(r, t.Topic, asked.Partition)
			if err == nil {
				err = p.CheckEpoch(asked.CurrentLeaderEpoch)
			}
			if err == nil {
				answer.LeaderEpoch, answer.EndOffset = p.Log().EndOffsetForEpoch(asked.LeaderEpoch)
			}
			answer.ErrorCode = errorCode(err)
			told.Partitions = append(told.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, told)
	}
	r.ReplyMsg(resp)
}

// describable returns a partition that the client may look at.
func (h *Handler) describable(r *listener.Request, topic string, partition int32) (*replica.Partition, error) {
	if !h.allowed(r, security.Describe, topicResource(topic)) {
		return nil, kerr.TopicAuthorizationFailed
	}
	return h.led(topic, partition)
}
