package decommission

import (
	"fmt"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/cluster/health"
	"github.com/klamm-io/klamm/protocol"
)

// nodes are brokers 1 to n, each in a rack of its own.
func nodes(n int32) *health.Facts {
	f := &health.Facts{}
	for id := int32(1); id <= n; id++ {
		f.Brokers = append(f.Brokers, health.Broker{ID: id, Rack: fmt.Sprint("r", id)})
	}
	return f
}

// add adds a partition whose replicas are all in sync and hold bytes.
func add(f *health.Facts, bytes int64, replicas ...int32) *health.Partition {
	p := health.Partition{
		TopicPartition: protocol.TopicPartition{Topic: "t", Partition: int32(len(f.Partitions))},
		Leader:         replicas[0], Replicas: replicas, ISR: replicas, Sizes: map[int32]int64{},
	}
	for _, id := range replicas {
		p.Sizes[id] = bytes
	}
	f.Partitions = append(f.Partitions, p)
	return &f.Partitions[len(f.Partitions)-1]
}

// check compares a plan, written in one line for each move and each that is stuck.
func check(t *testing.T, plan *Plan, want ...string) {
	t.Helper()
	var lines []string
	for _, m := range plan.Next {
		lines = append(lines, fmt.Sprintf("%s -> %v", m.TopicPartition, m.Replicas))
	}
	for _, s := range plan.Stuck {
		lines = append(lines, fmt.Sprintf("%s: %s", s.TopicPartition, s.Why))
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("planned was\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestReplicasGoWhereLeastIs(t *testing.T) {
	f := nodes(4)
	add(f, 10, 1, 2)
	add(f, 10, 2, 1)
	add(f, 10, 1, 3)
	add(f, 10, 4, 3)
	plan := Make(f, []int32{1}, 100)
	check(t, plan, "t-0 -> [4 2]", "t-1 -> [2 3]", "t-2 -> [2 3]")
	if plan.Replicas != 3 || plan.Moving != 0 || plan.Leaders != 2 || plan.Bytes != 30 {
		t.Errorf("the plan counts %+v", *plan)
	}
	check(t, Make(f, []int32{1}, 2), "t-0 -> [4 2]", "t-1 -> [2 3]")
}

func TestRacksAreKeptApart(t *testing.T) {
	f := nodes(4)
	f.Brokers[3].Rack = "r2"
	add(f, 10, 1, 2)
	add(f, 10, 3)
	check(t, Make(f, []int32{1}, 100), "t-0 -> [3 2]")
}

func TestBrokersThatCannotTakeReplicas(t *testing.T) {
	f := nodes(5)
	f.Brokers[1].Fenced = true
	f.Brokers[2].Dirs = []health.Dir{{Cordoned: true}}
	f.Brokers[3].Dirs = []health.Dir{{Usable: 10, Total: 100}, {Failed: "yes", Usable: 90, Total: 100}}
	f.Brokers[4].Dirs = []health.Dir{{Usable: 25, Total: 100}, {Usable: -1, Total: -1}}
	add(f, 12, 1)
	add(f, 12, 1)
	add(f, 5, 1)
	add(f, 4, 1, 4, 5)
	check(t, Make(f, []int32{1}, 100), "t-0 -> [5]", "t-2 -> [4]",
		"t-1: no other broker has room for it on its disk", "t-3: every other broker that takes replicas has it already")
}

// A move under way takes of the room, and is left alone as long as it can go on.
func TestMovesUnderWay(t *testing.T) {
	f := nodes(4)
	f.Brokers[1].Dirs = []health.Dir{{Usable: 25, Total: 100}}
	under := add(f, 15, 1)
	under.Replicas, under.Adding, under.Removing, under.Sizes[2] = []int32{2, 1}, []int32{2}, []int32{1}, 5
	f.Brokers[2].Fenced = true
	add(f, 12, 1, 4)
	plan := Make(f, []int32{1}, 100)
	check(t, plan, "t-1: no other broker has room for it on its disk")
	if plan.Replicas != 2 || plan.Moving != 1 || plan.Bytes != 10+12 {
		t.Errorf("the plan counts %+v", *plan)
	}
	f.Brokers[1].Fenced = true
	check(t, Make(f, []int32{1}, 0), "t-0 -> [4]", "t-1: every other broker that takes replicas has it already")
}

func TestWithoutLeaderNothingMoves(t *testing.T) {
	f := nodes(3)
	add(f, 10, 1).Leader = -1
	add(f, 10, 2).Leader = -1
	check(t, Make(f, []int32{1}, 100), "t-0: it has no leader to copy from")
}

// A broker that the cluster has forgotten cannot be named by a move: it goes with
// the one that leaves.
func TestReplicasOfForgottenBrokersGoToo(t *testing.T) {
	f := nodes(4)
	add(f, 10, 2, 1, 9)
	check(t, Make(f, []int32{1}, 100), "t-0 -> [2 3 4]")
	check(t, Make(f, []int32{9}, 100), "t-0 -> [2 1 3]")
}
