package api

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
)

// TestPartitionState: clients are not sent to brokers that are not there.
func TestPartitionState(t *testing.T) {
	var records []metadata.Record
	for id := int32(1); id <= 3; id++ {
		records = append(records, &metadata.BrokerRegistered{Broker: metadata.Broker{ID: id, BrokerState: metadata.BrokerState{Fenced: id == 3}}})
	}
	topic := metadata.Topic{Name: "a", Partitions: []metadata.Partition{
		{Leader: 2, Replicas: []int32{2, 3, 4}, ISR: []int32{2}},
		{Leader: 3, Replicas: []int32{3, 2}, ISR: []int32{3}},
		{Leader: -1, Replicas: []int32{2, 1}, Unsettled: &metadata.Unsettled{ELR: []int32{2}, Offline: []int32{1}}},
	}}
	img, _, err := metadata.Empty().Apply(append(records, &metadata.TopicCreated{Topic: topic}))
	if err != nil {
		t.Fatal(err)
	}
	h := &Handler{config: &config.Broker{NodeID: 1}}
	for i, want := range []partitionState{
		{leader: 2, isr: []int32{2}, offline: []int32{3, 4}},
		{leader: -1, errorCode: kerr.LeaderNotAvailable.Code, isr: []int32{3}, offline: []int32{3}},
		{leader: -1, errorCode: kerr.LeaderNotAvailable.Code, offline: []int32{1}},
	} {
		got := h.partitionState(img, &topic, int32(i))
		if got.leader != want.leader || got.errorCode != want.errorCode || !slices.Equal(got.isr, want.isr) || !slices.Equal(got.offline, want.offline) {
			t.Errorf("partition %d: %+v, want %+v", i, got, want)
		}
	}
	page := topicPage{handler: h, image: img}
	if told := page.partition(&topic, 2); !slices.Equal(told.EligibleLeaderReplicas, []int32{2}) || told.LastKnownELR == nil || len(told.LastKnownELR) > 0 {
		t.Errorf("eligible leaders %v, last known %v", told.EligibleLeaderReplicas, told.LastKnownELR)
	}
}
