package main

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// assignment is where the replicas of a partition are to be; nil replicas take back
// a move that is under way.
type assignment struct {
	topicPartition
	replicas []int32
}

// assignAtOnce is how many partitions one request is about: a cluster refuses what
// changes too much at once.
const assignAtOnce = 500

// assign tells the cluster where partitions are to be, and with sameCount to refuse
// what changes how many replicas there are (Kafka 4.1 on). What it refuses is returned
// by partition, with the cluster's words; an error means that nobody answered, and that
// what was sent before may have been taken.
func assign(ctx context.Context, client *kgo.Client, wanted []assignment, sameCount bool) (refused map[topicPartition]refusal, err error) {
	refused = map[topicPartition]refusal{}
	for some := range slices.Chunk(wanted, assignAtOnce) {
		req := assignmentRequest(some)
		req.AllowReplicationFactorChange = !sameCount
		resp, err := req.RequestWith(ctx, client)
		if err != nil {
			return refused, err
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return refused, err
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					refused[topicPartition{Topic: t.Topic, Partition: p.Partition}] = refusal{err, textOf(p.ErrorMessage)}
				}
			}
		}
	}
	return refused, nil
}

// refusal is why a cluster does not do something, and how it says so.
type refusal struct {
	err  error
	says string
}

func (r refusal) String() string { return reason(r.err, r.says) }

// assignmentRequest is of partitions in the order of their topics.
func assignmentRequest(wanted []assignment) *kmsg.AlterPartitionAssignmentsRequest {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	for _, a := range wanted {
		if last := len(req.Topics) - 1; last < 0 || req.Topics[last].Topic != a.Topic {
			topic := kmsg.NewAlterPartitionAssignmentsRequestTopic()
			topic.Topic = a.Topic
			req.Topics = append(req.Topics, topic)
		}
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition, p.Replicas = a.Partition, a.replicas
		topic := &req.Topics[len(req.Topics)-1]
		topic.Partitions = append(topic.Partitions, p)
	}
	return req
}
