package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestParseNamedTopic(t *testing.T) {
	for text, want := range map[string]string{
		"t": "{t []}", "t:0": "{t [0]}", "t:0,12": "{t [0 12]}",
	} {
		if got, err := parseNamedTopic(text); err != nil || fmt.Sprint(got) != want {
			t.Errorf("parseNamedTopic(%q) = %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", ":0", "t:", "t:x", "t:-1", "t:0,99999999999"} {
		if got, err := parseNamedTopic(text); err == nil {
			t.Errorf("parseNamedTopic(%q) = %v, want an error", text, got)
		}
	}
}

func TestLagOfAGroup(t *testing.T) {
	at := func(topic string, partition int32) topicPartition {
		return topicPartition{Topic: topic, Partition: partition}
	}
	reads := kadm.TopicsSet{}
	reads.Add("a", 0, 10)
	view := groupView{group: "g", state: "Stable", members: []memberView{
		{id: "m1", client: "c", host: "h", partitions: reads},
		{id: "m2", partitions: kadm.TopicsSet{}},
	}}
	committed := map[topicPartition]int64{at("a", 0): 7, at("a", 2): 9, at("gone", 0): 3}
	ends := kadm.ListedOffsets{"a": {
		0: {Topic: "a", Partition: 0, Offset: 10}, 2: {Topic: "a", Partition: 2, Offset: 5}, 10: {Topic: "a", Partition: 10, Offset: 4},
	}, "gone": {0: {Err: errors.New("gone")}}}

	group := lagOf(view, committed, ends)
	var rows []string
	for _, p := range group.Partitions {
		numbers, err := json.Marshal([]*int64{p.Partition, p.CurrentOffset, p.LogEndOffset, p.Lag})
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, p.Topic+string(numbers)+p.ConsumerID)
	}
	// Partitions by number, not by letters; offsets past the end are no negative
	// lag; a member without partitions is there as well.
	want := `["a[0,7,10,3]m1" "a[2,9,5,0]" "a[10,null,4,null]m1" "gone[0,3,null,null]" "[null,null,null,null]m2"]`
	if got := fmt.Sprintf("%q", rows); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if group.TotalLag != 3 || group.MemberCount != 2 {
		t.Errorf("total lag %d of %d members, want 3 of 2", group.TotalLag, group.MemberCount)
	}
}

// TestConsumerGroupShown: of a group of the new protocol it is told how far each
// member is on its way to what it is to have.
func TestConsumerGroupShown(t *testing.T) {
	has, target, none := kadm.TopicsSet{}, kadm.TopicsSet{}, kadm.TopicsSet{}
	has.Add("a", 0, 1)
	target.Add("a", 0)
	other := kadm.TopicsSet{}
	other.Add("a", 1)
	instance := "i"
	view := consumerView(kadm.DescribedConsumerGroup{
		Group: "g", State: "Reconciling", Epoch: 4, AssignmentEpoch: 4, AssignorName: "uniform",
		Members: []kadm.ConsumerGroupMember{
			{MemberID: "m1", MemberEpoch: 3, ClientID: "c", ClientHost: "h", Assignment: has, TargetAssignment: target},
			{MemberID: "m2", InstanceID: &instance, MemberEpoch: 4, Assignment: none, TargetAssignment: other},
		},
	})
	var out strings.Builder
	env := &environment{out: &out}
	if err := env.showGroups([]describedGroup{lagOf(view, nil, nil)}); err != nil {
		t.Fatal(err)
	}
	want := `GROUP g  TYPE consumer  STATE Reconciling  PROTOCOL uniform  COORDINATOR 0  MEMBERS 2  TOTAL-LAG 0
TOPIC  PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST  CLIENT-ID
a      0          -               -               -    m1           h     c
a      1          -               -               -    m1           h     c
-      -          -               -               -    m2           -     -
EPOCH 4  ASSIGNMENT-EPOCH 4
CONSUMER-ID  INSTANCE-ID  EPOCH  ASSIGNED  TARGET
m1           -            3      a:0,1     a:0
m2           i            4      -         a:1
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
