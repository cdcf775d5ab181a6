package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/health"
)

// askTimeout bounds one question about the cluster where what is not answered is
// said to be unknown: a broker that hangs must not hide what the others tell.
const askTimeout = 5 * time.Second

// question is something that a cluster may be asked. What comes back goes into the
// facts when all questions are answered, so that they can be asked at once.
type question struct {
	about string // what is not known where nobody answers
	ask   func(context.Context, *kgo.Client, *health.Facts) (func(*health.Facts), error)
}

// The questions besides those for brokers and partitions, which all others need.
var (
	askMoves    = question{"which partitions are on the way to other brokers", moving}
	askMinISR   = question{"min.insync.replicas of the topics", minISR}
	askLogDirs  = question{"folders, disks and the sizes of replicas", logDirs}
	askQuorum   = question{"the controller quorum", quorum}
	askEligible = question{"who may lead the partitions without leader", eligible}
)

// gather asks the cluster for its brokers and partitions, and then the questions.
// It fails only where the former are not to be had: what else is not told is noted
// in the facts as unknown.
func gather(ctx context.Context, client *kgo.Client, questions ...question) (*health.Facts, error) {
	f := &health.Facts{Controller: -1}
	if err := askBrokers(ctx, client, f); err != nil {
		return nil, fmt.Errorf("describe the cluster: %s", why(err))
	}
	if err := askPartitions(ctx, client, f); err != nil {
		return nil, fmt.Errorf("ask for topics: %s", why(err))
	}
	answers, errs := make([]func(*health.Facts), len(questions)), make([]error, len(questions))
	var asked sync.WaitGroup
	for i, q := range questions {
		asked.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			defer cancel()
			answers[i], errs[i] = q.ask(ctx, client, f)
		})
	}
	asked.Wait()
	for i, answer := range answers {
		if errs[i] != nil {
			f.Unknown = append(f.Unknown, health.Unknown{What: questions[i].about, Why: why(errs[i])})
			continue
		}
		answer(f)
	}
	return f, ctx.Err()
}

// why is the reason of an error, which may be that the cluster is too old.
func why(err error) string {
	if unserved(err) {
		return "this cluster does not serve that"
	}
	return reason(err, "")
}

// unserved reports whether a cluster has not the API that it was asked by. The
// client has no name for that error.
func unserved(err error) bool {
	return errors.Is(err, kerr.UnsupportedVersion) || strings.Contains(err.Error(), "broker is too old")
}

func askBrokers(ctx context.Context, client *kgo.Client, f *health.Facts) error {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeFencedBrokers = true
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	f.Controller, f.FencedKnown = resp.ControllerID, resp.Version >= 2
	for _, b := range resp.Brokers {
		told := health.Broker{ID: b.NodeID, Host: b.Host, Port: b.Port, Fenced: b.IsFenced}
		if b.Rack != nil {
			told.Rack = *b.Rack
		}
		f.Brokers = append(f.Brokers, told)
	}
	slices.SortFunc(f.Brokers, func(a, b health.Broker) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

func askPartitions(ctx context.Context, client *kgo.Client, f *health.Facts) error {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil // all
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			f.Partitions = append(f.Partitions, health.Partition{
				TopicPartition: topicPartition{Topic: *t.Topic, Partition: p.Partition},
				Leader:         p.Leader, Replicas: p.Replicas, ISR: p.ISR, Sizes: map[int32]int64{}, Damaged: map[int32]int64{},
			})
		}
	}
	slices.SortFunc(f.Partitions, func(a, b health.Partition) int { return comparePartitions(a.TopicPartition, b.TopicPartition) })
	return nil
}

// partitionOf finds a partition among the facts, nil where it is not there any
// more.
func partitionOf(f *health.Facts, topic string, partition int32) *health.Partition {
	i, found := slices.BinarySearchFunc(f.Partitions, topicPartition{Topic: topic, Partition: partition},
		func(p health.Partition, tp topicPartition) int { return comparePartitions(p.TopicPartition, tp) })
	if !found {
		return nil
	}
	return &f.Partitions[i]
}

func moving(ctx context.Context, client *kgo.Client, _ *health.Facts) (func(*health.Facts), error) {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.Topics = nil // all
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	return func(f *health.Facts) {
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if known := partitionOf(f, t.Topic, p.Partition); known != nil {
					// The replicas may have changed since the topics were asked for.
					known.Replicas, known.Adding, known.Removing = p.Replicas, p.AddingReplicas, p.RemovingReplicas
				}
			}
		}
	}, kerr.ErrorForCode(resp.ErrorCode)
}

// minISRKey is the config that says how many replicas acks=all is about.
const minISRKey = "min.insync.replicas"

func minISR(ctx context.Context, client *kgo.Client, f *health.Facts) (func(*health.Facts), error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for i := range f.Partitions {
		if topic := f.Partitions[i].Topic; i == 0 || topic != f.Partitions[i-1].Topic {
			resource := kmsg.NewDescribeConfigsRequestResource()
			resource.ResourceType, resource.ResourceName, resource.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{minISRKey}
			req.Resources = append(req.Resources, resource)
		}
	}
	if len(req.Resources) == 0 {
		return func(*health.Facts) {}, nil
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	values := map[string]int{}
	for _, r := range resp.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) { // deleted meanwhile
			return nil, err
		}
		for _, c := range r.Configs {
			if c.Name == minISRKey && c.Value != nil {
				if values[r.ResourceName], err = strconv.Atoi(*c.Value); err != nil {
					return nil, fmt.Errorf("topic %s: %w", r.ResourceName, err)
				}
			}
		}
	}
	return func(f *health.Facts) {
		for i := range f.Partitions {
			f.Partitions[i].MinISR = values[f.Partitions[i].Topic]
		}
	}, nil
}
