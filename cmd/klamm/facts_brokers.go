package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/health"
	"github.com/klamm-io/klamm/protocol"
)

// logDirs asks each broker for its own folders: no other can tell.
func logDirs(ctx context.Context, client *kgo.Client, f *health.Facts) (func(*health.Facts), error) {
	responses, errs := make([]*kmsg.DescribeLogDirsResponse, len(f.Brokers)), make([]error, len(f.Brokers))
	var asked sync.WaitGroup
	for i, b := range f.Brokers {
		if b.Fenced {
			continue // no client is told where it is
		}
		asked.Go(func() { responses[i], errs[i] = logDirsOf(ctx, client, b.ID) })
	}
	asked.Wait()
	return func(f *health.Facts) {
		for i := range f.Brokers {
			switch b, err := &f.Brokers[i], errs[i]; {
			case err != nil && silence(err):
				b.Silent = reason(err, "")
			case err != nil:
				f.Unknown = append(f.Unknown, health.Unknown{What: fmt.Sprintf("folders, disks and the sizes of replicas of broker %d", b.ID), Why: why(err)})
			case responses[i] != nil:
				b.Dirs = dirsOf(responses[i])
				noteSizes(f, b.ID, responses[i])
			}
		}
	}, ctx.Err()
}

// logDirsOf asks one broker, once more where that fails: a connection from before the
// broker was restarted shows its end only now.
func logDirsOf(ctx context.Context, client *kgo.Client, broker int32) (*kmsg.DescribeLogDirsResponse, error) {
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Topics = nil // all
	resp, err := client.Broker(int(broker)).Request(ctx, req)
	if err != nil && silence(err) {
		resp, err = client.Broker(int(broker)).Request(ctx, req)
	}
	if err != nil {
		return nil, err
	}
	dirs := resp.(*kmsg.DescribeLogDirsResponse)
	return dirs, kerr.ErrorForCode(dirs.ErrorCode)
}

// silence reports whether an error means that a broker cannot be reached, rather
// than that it refuses.
func silence(err error) bool {
	var refused *kerr.Error
	return !unserved(err) && !errors.As(err, &refused)
}

func dirsOf(resp *kmsg.DescribeLogDirsResponse) []health.Dir {
	dirs := []health.Dir{}
	for _, d := range resp.Dirs {
		told := health.Dir{Path: d.Dir, Usable: d.UsableBytes, Total: d.TotalBytes, Cordoned: d.IsCordoned}
		if err := kerr.ErrorForCode(d.ErrorCode); err != nil {
			told.Failed = reason(err, "")
		}
		dirs = append(dirs, told)
	}
	return dirs
}

func noteSizes(f *health.Facts, broker int32, resp *kmsg.DescribeLogDirsResponse) {
	for _, d := range resp.Dirs {
		for _, t := range d.Topics {
			for _, told := range t.Partitions {
				if p := partitionOf(f, t.Topic, told.Partition); p != nil && !told.IsFuture {
					p.Sizes[broker] = told.Size
					told.UnknownTags.Each(func(tag uint32, value []byte) {
						if from, ok := protocol.DecodeOffset(value); ok && tag == protocol.DamagedTag {
							p.Damaged[broker] = from
						}
					})
				}
			}
		}
	}
}

// quorum asks for the controllers. That they do not answer is a fact; that the
// cluster does not tell is none.
//
// The broker that is asked passes the question on, and what is asked of it by the same
// connection waits meanwhile: so this has a client of its own.
func quorum(ctx context.Context, client *kgo.Client, _ *health.Facts) (func(*health.Facts), error) {
	own, err := kgo.NewClient(client.Opts()...)
	if err != nil {
		return nil, err
	}
	defer own.Close()
	told, err := quorumFacts(ctx, own)
	var refused *kerr.Error
	switch {
	case err == nil:
	case unserved(err), errors.As(err, &refused) && !refused.Retriable:
		return nil, err
	default:
		told = &health.Quorum{Leader: -1, Failed: reason(err, "")}
	}
	return func(f *health.Facts) {
		f.Quorum = told
		if told.Failed == "" {
			f.Controller = told.Leader // Kafka's brokers name any broker as the controller otherwise
		}
	}, nil
}

func quorumFacts(ctx context.Context, client *kgo.Client) (*health.Quorum, error) {
	partition := kmsg.NewDescribeQuorumRequestTopicPartition()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = metadataTopic, append(topic.Partitions, partition)
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, errors.New("the answer is not about the quorum")
	}
	told := resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(told.ErrorCode); err != nil {
		return nil, err
	}
	q := &health.Quorum{Leader: told.LeaderID}
	for _, v := range told.CurrentVoters {
		q.Voters = append(q.Voters, health.Voter{
			ID: v.ReplicaID, LogEnd: v.LogEndOffset, LastFetch: timeOf(v.LastFetchTimestamp), CaughtUp: timeOf(v.LastCaughtUpTimestamp),
			Never: resp.Version >= 1 && v.LastFetchTimestamp < 0 && v.ReplicaID != told.LeaderID,
			Fixed: resp.Version >= 2 && v.ReplicaDirectoryID == [16]byte{},
		})
	}
	return q, nil
}

// timeOf is a time in milliseconds, zero for none.
func timeOf(ms int64) time.Time {
	if ms < 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// eligible asks who may lead the partitions that have no leader (KIP-966).
func eligible(ctx context.Context, client *kgo.Client, f *health.Facts) (func(*health.Facts), error) {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	for i := range f.Partitions {
		name := f.Partitions[i].Topic
		if last := len(req.Topics) - 1; f.Partitions[i].Leader < 0 && (last < 0 || req.Topics[last].Topic != name) {
			topic := kmsg.NewDescribeTopicPartitionsRequestTopic()
			topic.Topic = name
			req.Topics = append(req.Topics, topic)
		}
	}
	var told []kmsg.DescribeTopicPartitionsResponseTopic
	for more := len(req.Topics) > 0; more; {
		resp, err := req.RequestWith(ctx, client)
		if err != nil {
			return nil, err
		}
		told = append(told, resp.Topics...)
		if more = resp.NextCursor != nil; more {
			cursor := kmsg.NewDescribeTopicPartitionsRequestCursor()
			cursor.Topic, cursor.Partition = resp.NextCursor.Topic, resp.NextCursor.Partition
			req.Cursor = &cursor
		}
	}
	return func(f *health.Facts) {
		for _, t := range told {
			for _, p := range t.Partitions {
				if known := partitionOf(f, *t.Topic, p.Partition); known != nil {
					known.ELR, known.LastKnownELR = p.EligibleLeaderReplicas, p.LastKnownELR
				}
			}
		}
	}, nil
}
