package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

func newQuorumCommand(env *environment) *cobra.Command {
	return parentCommand("quorum", "Show and change which controllers decide on the cluster's metadata",
		newQuorumStatusCommand(env),
		newQuorumAddCommand(env),
		newQuorumRemoveCommand(env),
	)
}

// shownQuorum is what `klamm quorum status` shows.
type shownQuorum struct {
	Leader        int32           `json:"leader"` // -1: there is none
	LeaderEpoch   int32           `json:"leader_epoch"`
	HighWatermark int64           `json:"high_watermark"`
	Replicas      []quorumReplica `json:"replicas"` // voters first
}

// quorumReplica is a node that has a copy of the metadata.
type quorumReplica struct {
	Node         int32    `json:"node"`
	Role         string   `json:"role"`
	DirectoryID  string   `json:"directory_id"` // empty: the node did not say
	LogEndOffset int64    `json:"log_end_offset"`
	Lag          *int64   `json:"lag"` // behind the leader; null: one of the ends is not known
	LastFetch    string   `json:"last_fetch"`
	LastCaughtUp string   `json:"last_caught_up"`
	Endpoints    []string `json:"endpoints"`
}

// What a node is to the quorum.
const (
	roleLeader   = "Leader"
	roleFollower = "Follower"
	roleObserver = "Observer"
)

func (r *quorumReplica) votes() bool { return r.Role != roleObserver }

const (
	metadataTopic = "__cluster_metadata"
	noOffset      = -1
)

// describeQuorum asks the cluster who decides on its metadata.
func describeQuorum(ctx context.Context, client *kgo.Client) (*shownQuorum, error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = metadataTopic
	topic.Partitions = []kmsg.DescribeQuorumRequestTopicPartition{{Partition: 0}}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("describe the quorum: %s", reason(err, ""))
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, fmt.Errorf("describe the quorum: %s", reason(err, textOf(resp.ErrorMessage)))
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, errors.New("describe the quorum: the answer is about something else")
	}
	p := &resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return nil, fmt.Errorf("describe the quorum: %s", reason(err, textOf(p.ErrorMessage)))
	}
	return shownQuorumOf(p, resp.Nodes), nil
}

func textOf(message *string) string {
	if message == nil {
		return ""
	}
	return *message
}

func shownQuorumOf(p *kmsg.DescribeQuorumResponseTopicPartition, nodes []kmsg.DescribeQuorumResponseNode) *shownQuorum {
	q := &shownQuorum{Leader: p.LeaderID, LeaderEpoch: p.LeaderEpoch, HighWatermark: p.HighWatermark, Replicas: []quorumReplica{}}
	end := int64(noOffset)
	for _, v := range p.CurrentVoters {
		if v.ReplicaID == p.LeaderID {
			end = v.LogEndOffset
		}
	}
	add := func(states []kmsg.DescribeQuorumResponseTopicPartitionReplicaState, role string) {
		slices.SortFunc(states, func(a, b kmsg.DescribeQuorumResponseTopicPartitionReplicaState) int {
			return cmp.Compare(a.ReplicaID, b.ReplicaID)
		})
		for i := range states {
			r := shownReplica(&states[i], role, end)
			if role == roleFollower && r.Node == p.LeaderID {
				r.Role = roleLeader
			}
			r.Endpoints = endpointsOf(r.Node, nodes)
			q.Replicas = append(q.Replicas, r)
		}
	}
	add(p.CurrentVoters, roleFollower)
	add(p.Observers, roleObserver)
	return q
}

func shownReplica(s *kmsg.DescribeQuorumResponseTopicPartitionReplicaState, role string, leadersEnd int64) quorumReplica {
	r := quorumReplica{
		Node: s.ReplicaID, Role: role, LogEndOffset: s.LogEndOffset,
		LastFetch: timeText(s.LastFetchTimestamp), LastCaughtUp: timeText(s.LastCaughtUpTimestamp),
	}
	if id := protocol.TopicID(s.ReplicaDirectoryID); !id.IsZero() {
		r.DirectoryID = id.String()
	}
	if leadersEnd != noOffset && s.LogEndOffset != noOffset {
		lag := leadersEnd - s.LogEndOffset
		r.Lag = &lag
	}
	return r
}

// endpointsOf are where a node's controller listens, written as in its configuration.
func endpointsOf(id int32, nodes []kmsg.DescribeQuorumResponseNode) []string {
	endpoints := []string{}
	for _, n := range nodes {
		for _, l := range n.Listeners {
			if n.NodeID == id {
				endpoints = append(endpoints, l.Name+"://"+net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))))
			}
		}
	}
	return endpoints
}

// directoryOf finds the directory that a node has among those that vote, or that do not.
func (q *shownQuorum) directoryOf(id int32, votes bool) (directory string, found bool) {
	for i := range q.Replicas {
		if r := &q.Replicas[i]; r.Node == id && r.votes() == votes {
			return r.DirectoryID, true
		}
	}
	return "", false
}

// voters names those who vote, for people.
func (q *shownQuorum) voters() string {
	var ids []string
	for i := range q.Replicas {
		if q.Replicas[i].votes() {
			ids = append(ids, strconv.Itoa(int(q.Replicas[i].Node)))
		}
	}
	return strings.Join(ids, ", ")
}

// completeReplicas offers the ids of nodes that vote, or that do not.
func (e *environment) completeReplicas(votes bool) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		var ids []string
		err := e.withQuorum(ctx, func(_ *kgo.Client, q *shownQuorum) error {
			for i := range q.Replicas {
				if r := &q.Replicas[i]; r.votes() == votes {
					ids = append(ids, strconv.Itoa(int(r.Node)))
				}
			}
			return nil
		})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// withQuorum runs fn with what the quorum is.
func (e *environment) withQuorum(ctx context.Context, fn func(*kgo.Client, *shownQuorum) error) error {
	client, err := e.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	q, err := describeQuorum(ctx, client)
	if err != nil {
		return err
	}
	return fn(client, q)
}

// nodeID reads the id of a node.
func nodeID(cmd *cobra.Command, text string) (int32, error) {
	id, err := strconv.ParseInt(text, 10, 32)
	if err != nil || id < 0 {
		return 0, badUsage(cmd, "%s is no node's id: that is node.id of its configuration", text)
	}
	return int32(id), nil
}

// directoryFlag is --directory. It is needed where the cluster does not tell.
func directoryFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("directory", "", "`ID` of the node's folder of metadata, directory.id of its meta.properties; by default what the cluster knows")
}

// parseDirectory reads the id of a folder, "" being none.
func parseDirectory(cmd *cobra.Command, text string) (id [16]byte, err error) {
	if text == "" {
		return id, nil
	}
	parsed, err := protocol.ParseTopicID(text)
	if err != nil {
		return id, badUsage(cmd, "--directory %s: it is written in 22 letters, as directory.id in meta.properties", text)
	}
	return parsed, nil
}
