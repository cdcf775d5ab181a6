package api

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/fetchsession"
	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/broker/replica"
)

// TestFetchResponseIsWhatKmsgWrites: a response that is written by hand is byte for
// byte that of kmsg, in each version, with all that a partition may say besides its
// records.
func TestFetchResponseIsWhatKmsgWrites(t *testing.T) {
	rack := "west"
	records := listener.TakeMemory(7)
	copy(records.Bytes(), "records")
	for version := int16(4); version <= 18; version++ {
		own := fetchResponse{version: version, sessionID: 7, partitions: []fetchedPartition{
			{key: fetchsession.Key{Topic: "a", ID: [16]byte{1}, Partition: 3}, highWatermark: 9, lastStable: 8, logStart: 1, copied: records},
			{key: fetchsession.Key{Topic: "a", ID: [16]byte{1}, Partition: 4}, errorCode: 6, leader: fetchLeader{told: true, id: 2, epoch: 5}},
			{key: fetchsession.Key{Topic: "b", ID: [16]byte{2}}, diverging: &replica.EpochEnd{Epoch: 1, Offset: 2}, leader: fetchLeader{told: true, id: 3, epoch: 6}},
		}}
		own.addNode(2, "two", 9092, &rack)
		own.addNode(3, "three", 9093, nil)
		own.addNode(2, "two", 9092, &rack)
		var got []byte
		for _, p := range own.parts() {
			got = append(got, p.Bytes...)
		}
		if want := kmsgFetchResponse(version, &rack).AppendTo(nil); !bytes.Equal(got, want) {
			t.Errorf("version %d:\n got %x\nwant %x", version, got, want)
		}
	}
}

func kmsgFetchResponse(version int16, rack *string) *kmsg.FetchResponse {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version, resp.SessionID = version, 7
	partition := func(index int32) kmsg.FetchResponseTopicPartition {
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition, p.LastStableOffset, p.LogStartOffset = index, 0, 0
		return p
	}
	records, moved, diverging := partition(3), partition(4), partition(0)
	records.HighWatermark, records.LastStableOffset, records.LogStartOffset, records.RecordBatches = 9, 8, 1, []byte("records")
	moved.ErrorCode, moved.CurrentLeader.LeaderID, moved.CurrentLeader.LeaderEpoch = 6, 2, 5
	diverging.DivergingEpoch.Epoch, diverging.DivergingEpoch.EndOffset = 1, 2
	diverging.CurrentLeader.LeaderID, diverging.CurrentLeader.LeaderEpoch = 3, 6
	moved.RecordBatches, diverging.RecordBatches = []byte{}, []byte{}
	for _, p := range []*kmsg.FetchResponseTopicPartition{&records, &moved, &diverging} {
		p.PreferredReadReplica = -1
	}
	a, b := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopic()
	a.Topic, a.TopicID, a.Partitions = "a", [16]byte{1}, []kmsg.FetchResponseTopicPartition{records, moved}
	b.Topic, b.TopicID, b.Partitions = "b", [16]byte{2}, []kmsg.FetchResponseTopicPartition{diverging}
	resp.Topics = []kmsg.FetchResponseTopic{a, b}
	two, three := kmsg.NewFetchResponseBroker(), kmsg.NewFetchResponseBroker()
	two.NodeID, two.Host, two.Port, two.Rack = 2, "two", 9092, rack
	three.NodeID, three.Host, three.Port = 3, "three", 9093
	if version < 16 {
		return resp // kmsg writes them in every version, Kafka from this on
	}
	resp.Brokers = []kmsg.FetchResponseBroker{two, three}
	return resp
}
