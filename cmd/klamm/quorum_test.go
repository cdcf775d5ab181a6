package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// describedQuorum is an answer about three voters, of which one was never heard of, and
// an observer.
func describedQuorum() (*kmsg.DescribeQuorumResponseTopicPartition, []kmsg.DescribeQuorumResponseNode) {
	p := &kmsg.DescribeQuorumResponseTopicPartition{
		LeaderID: 2, LeaderEpoch: 7, HighWatermark: 90,
		CurrentVoters: []kmsg.DescribeQuorumResponseTopicPartitionReplicaState{
			{ReplicaID: 3, LogEndOffset: -1, LastFetchTimestamp: -1, LastCaughtUpTimestamp: -1},
			{ReplicaID: 2, ReplicaDirectoryID: [16]byte{2}, LogEndOffset: 100, LastFetchTimestamp: 5_000, LastCaughtUpTimestamp: 5_000},
			{ReplicaID: 1, ReplicaDirectoryID: [16]byte{1}, LogEndOffset: 90, LastFetchTimestamp: 4_000, LastCaughtUpTimestamp: 3_000},
		},
		Observers: []kmsg.DescribeQuorumResponseTopicPartitionReplicaState{
			{ReplicaID: 4, ReplicaDirectoryID: [16]byte{4}, LogEndOffset: 100, LastFetchTimestamp: 4_000, LastCaughtUpTimestamp: 4_000},
		},
	}
	return p, []kmsg.DescribeQuorumResponseNode{
		{NodeID: 1, Listeners: []kmsg.DescribeQuorumResponseNodeListener{{Name: "CONTROLLER", Host: "one", Port: 9093}}},
		{NodeID: 2, Listeners: []kmsg.DescribeQuorumResponseNodeListener{{Name: "CONTROLLER", Host: "::1", Port: 65535}}},
	}
}

func TestQuorumStatus(t *testing.T) {
	var out bytes.Buffer
	if err := (&environment{out: &out}).showQuorum(shownQuorumOf(describedQuorum())); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimPrefix(`
LEADER 2  EPOCH 7  HIGH-WATERMARK 90
NODE  ROLE      LOG-END-OFFSET  LAG  LAST-FETCH            LAST-CAUGHT-UP        DIRECTORY-ID            ENDPOINTS
1     Follower  90              10   1970-01-01T00:00:04Z  1970-01-01T00:00:03Z  AQAAAAAAAAAAAAAAAAAAAA  CONTROLLER://one:9093
2     Leader    100             0    1970-01-01T00:00:05Z  1970-01-01T00:00:05Z  AgAAAAAAAAAAAAAAAAAAAA  CONTROLLER://[::1]:65535
3     Follower  -1              -    -                     -                     -                       -
4     Observer  100             0    1970-01-01T00:00:04Z  1970-01-01T00:00:04Z  BAAAAAAAAAAAAAAAAAAAAA  -
`, "\n")
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}

// Without a leader nobody knows how far the others are behind.
func TestQuorumWithoutALeader(t *testing.T) {
	p, nodes := describedQuorum()
	p.LeaderID = -1
	var out bytes.Buffer
	q := shownQuorumOf(p, nodes)
	if err := (&environment{out: &out}).showQuorum(q); err != nil || !strings.HasPrefix(out.String(), "LEADER -  EPOCH 7") {
		t.Errorf("%v\n%s", err, out.String())
	}
	for _, r := range q.Replicas {
		if r.Role == roleLeader || r.Lag != nil {
			t.Errorf("got %+v", r)
		}
	}
}

// Who is to vote is known by the directory that the cluster has heard of.
func TestTheDirectoryOfANewVoter(t *testing.T) {
	q := shownQuorumOf(describedQuorum())
	q.Replicas = append(q.Replicas, quorumReplica{Node: 5, Role: roleObserver})
	for _, c := range []struct {
		node      int32
		directory [16]byte
		want      [16]byte
		refused   string
	}{
		{node: 4, want: [16]byte{4}},
		{node: 4, directory: [16]byte{9}, want: [16]byte{9}},
		{node: 6, directory: [16]byte{9}, want: [16]byte{9}},
		{node: 6, refused: "node 6 does not follow the quorum"},
		{node: 5, refused: "does not know the directory of node 5"},
		{node: 3, refused: "node 3 votes already; the voters are 1, 2, 3"},
	} {
		req := &kmsg.AddRaftVoterRequest{VoterID: c.node, VoterDirectoryID: c.directory}
		err := q.completeAdd(nil, req)
		switch {
		case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
			t.Errorf("%+v: got %v", c, err)
		case c.refused == "" && (err != nil || req.VoterDirectoryID != c.want):
			t.Errorf("%+v: got %v, %v", c, req.VoterDirectoryID, err)
		}
	}
}
