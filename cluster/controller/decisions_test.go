package controller

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
)

// TestAnswersMatchRecords: whatever a client asks, the records fit the image,
// a topic is there if and only if it was said to be, and to ask only gets the
// same answer and changes nothing.
func TestAnswersMatchRecords(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster(outer)
		for range rapid.IntRange(1, 8).Draw(t, "requests") {
			req := drawCreate(t)
			req.ValidateOnly = true
			before := c.img
			asked := c.send(outer, req).(*kmsg.CreateTopicsResponse)
			if c.img.NumTopics() != before.NumTopics() {
				t.Fatal("validate only created topics")
			}
			req.ValidateOnly = false
			told := c.send(outer, req).(*kmsg.CreateTopicsResponse)
			for i, topic := range told.Topics {
				if topic.ErrorCode != asked.Topics[i].ErrorCode {
					t.Fatalf("%s: %d, and %d when only asked", topic.Topic, topic.ErrorCode, asked.Topics[i].ErrorCode)
				}
				requireCreated(t, before, c.img, topic)
			}
		}
	})
}

func requireCreated(t *rapid.T, before, after *metadata.Image, told kmsg.CreateTopicsResponseTopic) {
	_, existed := before.Topic(told.Topic)
	topic, exists := after.Topic(told.Topic)
	if created := exists && !existed; created != (told.ErrorCode == 0) {
		t.Fatalf("%q answered with %d, created: %v", told.Topic, told.ErrorCode, created)
	}
	if told.ErrorCode != 0 {
		return
	}
	if int(told.NumPartitions) != len(topic.Partitions) || told.TopicID != topic.ID {
		t.Fatalf("%q: told %+v, is %+v", told.Topic, told, topic)
	}
	for _, p := range topic.Partitions {
		if len(p.Replicas) != int(told.ReplicationFactor) || p.Leader != p.Replicas[0] || !slices.Equal(p.ISR, p.Replicas) {
			t.Fatalf("%q: partition %+v", told.Topic, p)
		}
	}
}

func drawCreate(t *rapid.T) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	for range rapid.IntRange(0, 4).Draw(t, "topics") {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic = rapid.StringMatching("[ab._/]{0,3}").Draw(t, "name")
		topic.NumPartitions = rapid.Int32Range(-2, 3).Draw(t, "partitions")
		topic.ReplicationFactor = rapid.Int16Range(-2, 2).Draw(t, "replication factor")
		for range rapid.IntRange(0, 1).Draw(t, "assignments") {
			topic.ReplicaAssignment = append(topic.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{
				Partition: rapid.Int32Range(0, 1).Draw(t, "partition"), Replicas: rapid.SliceOfN(rapid.Int32Range(0, 2), 0, 2).Draw(t, "replicas")})
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

func TestDeletionDisabled(t *testing.T) {
	c := newCluster(t)
	created, _ := (&Controller{}).AutoCreate(c.img, []string{"a"}, c.in)
	c.apply(t, created)
	c.in.Config.DeleteTopicEnable = false
	for version, want := range map[int16]*kerr.Error{1: kerr.InvalidRequest, 3: kerr.TopicDeletionDisabled, 6: kerr.TopicDeletionDisabled} {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Version, req.TopicNames = version, []string{"a"}
		req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("a")}}
		resp := c.send(t, req).(*kmsg.DeleteTopicsResponse)
		if len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != want.Code {
			t.Errorf("version %d: %+v, want %s", version, resp.Topics, want.Message)
		}
	}
	if c.img.NumTopics() != 1 {
		t.Error("deleted all the same")
	}
}

// TestAlterConfigsTwice: what a Kafka 4.3 does not answer, and the codes of
// resources that it has and Klamm has not.
func TestAlterConfigsTwice(t *testing.T) {
	c := newCluster(t)
	req := kmsg.NewPtrAlterConfigsRequest()
	for _, r := range []metadata.Resource{metadata.TopicResource("a"), metadata.TopicResource("a"), {Type: 8, Name: "1"}, {Type: 16, Name: "x"}} {
		req.Resources = append(req.Resources, kmsg.AlterConfigsRequestResource{ResourceType: r.Type, ResourceName: r.Name})
	}
	for _, told := range c.send(t, req).(*kmsg.AlterConfigsResponse).Resources {
		if told.ErrorCode != kerr.InvalidRequest.Code {
			t.Errorf("%s %s: code %d", told.ResourceType, told.ResourceName, told.ErrorCode)
		}
	}
}

// TestAlterConfigsReplaces: what AlterConfigs does not name is gone, what
// IncrementalAlterConfigs does not name stays.
func TestAlterConfigsReplaces(t *testing.T) {
	c := newCluster(t)
	created, _ := (&Controller{}).AutoCreate(c.img, []string{"a"}, c.in)
	c.apply(t, created)
	for _, step := range []struct {
		command, line string
		want          map[string]string
	}{
		{"incremental", "topic a retention.ms=1 cleanup.policy+=compact", map[string]string{"retention.ms": "1", "cleanup.policy": "delete,compact"}},
		{"incremental", "topic a cleanup.policy-=delete segment.ms=2", map[string]string{"retention.ms": "1", "cleanup.policy": "compact", "segment.ms": "2"}},
		{"incremental", "topic a segment.ms!", map[string]string{"retention.ms": "1", "cleanup.policy": "compact"}},
		{"incremental", "topic a retention.ms=7 no.such.config=1", map[string]string{"retention.ms": "1", "cleanup.policy": "compact"}},
		{"alter", "topic a segment.ms=3 retention.ms=1", map[string]string{"retention.ms": "1", "segment.ms": "3"}},
		{"alter", "topic a", nil},
	} {
		c.send(t, (&transcript{}).request(t, step.command, [][]string{strings.Fields(step.line)}, false))
		if got := c.img.Config(metadata.TopicResource("a")); !maps.Equal(got, step.want) {
			t.Errorf("%s %s: %v, want %v", step.command, step.line, got, step.want)
		}
	}
}

func TestAutoCreate(t *testing.T) {
	c := newCluster(t)
	c.in.Config.OffsetsTopicPartitions, c.in.Config.OffsetsTopicReplicationFactor = 50, 1
	c.in.Config.TransactionTopicReplicationFactor = 3
	records, refused := (&Controller{}).AutoCreate(c.img, []string{"a", "a", "b/", "__consumer_offsets", "__transaction_state", "A"}, c.in)
	c.apply(t, records)
	if again, _ := (&Controller{}).AutoCreate(c.img, []string{"a"}, c.in); len(again) > 0 {
		t.Error("a topic that exists is created again")
	}
	offsets, _ := c.img.Topic("__consumer_offsets")
	if c.img.NumTopics() != 3 || len(offsets.Partitions) != 50 {
		t.Errorf("%d topics, %d partitions of offsets", c.img.NumTopics(), len(offsets.Partitions))
	}
	if policy := c.img.Config(metadata.TopicResource("__consumer_offsets"))["cleanup.policy"]; policy != "compact" {
		t.Errorf("offsets are kept by %q", policy)
	}
	if len(refused) != 2 || !errors.Is(refused["b/"], kerr.InvalidTopicException) || !errors.Is(refused["__transaction_state"], kerr.InvalidReplicationFactor) {
		t.Errorf("refused %v", refused)
	}
}

// TestInternalTopicsAreReplicated: where nothing is set a cluster's own topics survive
// the loss of a node, if there are enough.
func TestInternalTopicsAreReplicated(t *testing.T) {
	const base = "node.id=1 process.roles=broker,controller controller.quorum.voters=1@localhost:9093 controller.listener.names=CONTROLLER " +
		"listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"
	for _, c := range []struct {
		brokers           int
		sets              string
		replicas, txnMins string
	}{
		{1, base, "1", "1"},
		{2, base, "2", "2"},
		{3, base, "3", "2"},
		{5, base, "3", "2"},
		{3, base + " transaction.state.log.replication.factor=1 transaction.state.log.min.isr=1", "1", "1"},
		{3, "node.id=1", "1", "1"}, // a cluster of its own
	} {
		set, _, err := config.Load("", nil, strings.Fields(c.sets))
		if err != nil {
			t.Fatal(err)
		}
		img := metadata.Empty()
		for id := range c.brokers {
			if img, _, err = img.Apply([]metadata.Record{&metadata.BrokerRegistered{Broker: metadata.Broker{ID: int32(id + 1)}}}); err != nil {
				t.Fatal(err)
			}
		}
		topic := AutoCreateRequest(img, []string{metadata.TransactionState}, Inputs{Config: set}).Topics[0]
		minISR := ""
		for _, one := range topic.Configs {
			if one.Name == "min.insync.replicas" {
				minISR = *one.Value
			}
		}
		if got := fmt.Sprint(topic.ReplicationFactor); got != c.replicas || minISR != c.txnMins {
			t.Errorf("%d brokers, %s: %s replicas of which %s in sync, want %s and %s", c.brokers, c.sets, got, minISR, c.replicas, c.txnMins)
		}
	}
}

func TestAllocateProducerIDs(t *testing.T) {
	c := newCluster(t)
	for _, want := range []int64{0, 1000, 2000} {
		records, first, err := (&Controller{}).AllocateProducerIDs(c.img)
		if err != nil || first != want {
			t.Fatalf("first id %d, %v, want %d", first, err, want)
		}
		c.apply(t, records)
	}
	c.apply(t, []metadata.Record{&metadata.ProducerIDsAllocated{Next: math.MaxInt64 - 5}})
	if _, first, err := (&Controller{}).AllocateProducerIDs(c.img); err == nil {
		t.Errorf("ids beyond the last, from %d on", first)
	}
}

func TestAllocateProducerIDsTo(t *testing.T) {
	c := newCluster(t)
	b, _ := c.img.Broker(c.in.Config.NodeID)
	for _, step := range []struct {
		epoch, first int64
		code         int16
	}{{b.Epoch, 0, 0}, {b.Epoch, 1000, 0}, {b.Epoch + 1, 0, kerr.StaleBrokerEpoch.Code}} {
		req := &kmsg.AllocateProducerIDsRequest{BrokerID: b.ID, BrokerEpoch: step.epoch}
		records, resp := (&Controller{}).AllocateProducerIDsTo(c.img, req)
		if resp.ErrorCode != step.code || resp.ProducerIDStart != step.first || (resp.ProducerIDLen == ProducerIDBlock) != (step.code == 0) {
			t.Errorf("%+v: answer %+v", step, resp)
		}
		c.apply(t, records)
	}
}

// TestImbalanced: only brokers that lead too little of what they should get it back.
func TestImbalanced(t *testing.T) {
	img := fourBrokers(t)
	topic := metadata.Topic{Name: "orders", ID: protocol.TopicID{1}}
	for i := range 20 {
		p := metadata.Partition{Leader: int32(i % 2), Replicas: []int32{0, 1}, ISR: []int32{0, 1}}
		if i >= 10 {
			p.Replicas = []int32{1, 0}
		}
		topic.Partitions = append(topic.Partitions, p)
	}
	// Broker 0 leads 5 of its 10 partitions, broker 1 leads 6 of its 10.
	topic.Partitions[10].Leader = 1
	img, _, err := img.Apply([]metadata.Record{&metadata.TopicCreated{Topic: topic}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		percent int
		want    []int32
	}{{0, []int32{0, 1}}, {39, []int32{0, 1}}, {40, []int32{0}}, {50, nil}} {
		brokers := (&Controller{}).Imbalanced(img, c.percent)
		if !slices.Equal(brokers, c.want) {
			t.Errorf("more than %d%%: brokers %v, want %v", c.percent, brokers, c.want)
		}
	}
	records, _ := (&Controller{}).BalanceLeaders(img, []int32{0}, newCluster(t).in)
	if n := len(records[0].(*metadata.PartitionsChanged).Changes); n != 5 {
		t.Errorf("%d partitions are given back to broker 0", n)
	}
}

func TestRegisterAlone(t *testing.T) {
	c := newCluster(t)
	b := metadata.Broker{ID: 5, Incarnation: [16]byte{1}, Endpoints: []metadata.Endpoint{{Listener: "PLAINTEXT", Host: "a", Port: 1}}}
	moved, restarted := b, b
	moved.Endpoints = []metadata.Endpoint{{Listener: "PLAINTEXT", Host: "b", Port: 1}}
	restarted.Incarnation = [16]byte{2}
	for _, step := range []struct {
		broker metadata.Broker
		epoch  int64
	}{{b, 2}, {b, 2}, {moved, 3}, {b, 4}, {restarted, 5}} {
		c.apply(t, (&Controller{}).RegisterAlone(c.img, step.broker, c.in))
		if got, _ := c.img.Broker(5); got.Epoch != step.epoch || got.Endpoints[0] != step.broker.Endpoints[0] {
			t.Errorf("registered as %+v, want epoch %d", got, step.epoch)
		}
	}
}

// TestPlace: leaders and replicas are spread evenly, over distinct brokers, and
// partitions that come later go on where the others ended.
func TestPlace(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster(outer)
		brokers := rapid.IntRange(1, 6).Draw(t, "brokers")
		for id := range brokers {
			c.apply(outer, []metadata.Record{&metadata.BrokerRegistered{Broker: metadata.Broker{ID: int32(id + 1)}}})
		}
		factor := rapid.IntRange(1, brokers).Draw(t, "replication factor")
		first, more := rapid.IntRange(1, 20).Draw(t, "partitions"), rapid.IntRange(1, 20).Draw(t, "more")
		c.send(outer, createRequest(outer, [][]string{{"a"}}, false))
		create := kmsg.NewPtrCreateTopicsRequest()
		create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "t", NumPartitions: int32(first), ReplicationFactor: int16(factor)}}
		c.send(outer, create)
		grow := kmsg.NewPtrCreatePartitionsRequest()
		grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: int32(first + more)}}
		c.send(outer, grow)
		topic, found := c.img.Topic("t")
		if !found || len(topic.Partitions) != first+more {
			t.Fatalf("topic %+v", topic)
		}
		requireSpread(t, topic, brokers, factor)
	})
}

func requireSpread(t *rapid.T, topic *metadata.Topic, brokers, factor int) {
	leads, holds := make([]int, brokers), make([]int, brokers)
	for _, p := range topic.Partitions {
		distinct := slices.Compact(slices.Sorted(slices.Values(p.Replicas)))
		if len(p.Replicas) != factor || len(distinct) != factor {
			t.Fatalf("replicas %v, want %d brokers", p.Replicas, factor)
		}
		leads[p.Leader-1]++
		for _, id := range p.Replicas {
			holds[id-1]++
		}
	}
	if slices.Max(leads)-slices.Min(leads) > 1 || slices.Max(holds)-slices.Min(holds) > factor {
		t.Fatalf("brokers lead %v and hold %v", leads, holds)
	}
}

// TestTooMuchAtOnce: 10,000 records are the most for every kind of request.
func TestTooMuchAtOnce(t *testing.T) {
	c := newCluster(t)
	created, _ := (&Controller{}).AutoCreate(c.img, []string{"a", "b"}, c.in)
	c.apply(t, created)
	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "a", Count: 6001}, {Topic: "b", Count: 4002}}
	told := c.send(t, grow).(*kmsg.CreatePartitionsResponse).Topics
	if told[0].ErrorCode != 0 || told[1].ErrorCode != kerr.PolicyViolation.Code {
		t.Errorf("6,000 and 4,001 partitions more: %+v", told)
	}
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeBroker}
	for n := range maxRecords + 1 {
		resource.Configs = append(resource.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: fmt.Sprintf("k%d", n), Value: kmsg.StringPtr("v")})
	}
	alter.Resources = append(alter.Resources, resource)
	if code := c.send(t, alter).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode; code != kerr.PolicyViolation.Code {
		t.Errorf("10,001 configs: code %d", code)
	}
	var names []string
	for n := range maxRecords {
		names = append(names, fmt.Sprintf("t%d", n))
	}
	records, refused := (&Controller{}).AutoCreate(c.img, names, c.in)
	if len(records) != maxRecords/2 || len(refused) != maxRecords/2 || !errors.Is(refused["t9999"], kerr.PolicyViolation) {
		t.Errorf("10,000 topics by name: %d created, %d refused", len(records), len(refused))
	}
}

// TestUnevenAssignment: all partitions of a topic have as many replicas.
func TestUnevenAssignment(t *testing.T) {
	c := newCluster(t)
	for id := range int32(3) {
		c.apply(t, []metadata.Record{&metadata.BrokerRegistered{Broker: metadata.Broker{ID: id}}})
	}
	told := c.send(t, createRequest(t, [][]string{{"a", "assign=0:1/2,1:0"}, {"b", "assign=0:1/2,1:0/1"}}, false)).(*kmsg.CreateTopicsResponse)
	if told.Topics[0].ErrorCode != kerr.InvalidReplicaAssignment.Code || told.Topics[1].ErrorCode != 0 {
		t.Errorf("%+v", told.Topics)
	}
	grown := c.send(t, partitionsRequest(t, [][]string{{"b", "count=3", "assign=2"}}, false)).(*kmsg.CreatePartitionsResponse)
	if grown.Topics[0].ErrorCode != kerr.InvalidReplicaAssignment.Code {
		t.Errorf("%+v", grown.Topics)
	}
}

// TestConfigsOfOtherBrokers: the active controller decides on those of every broker.
func TestConfigsOfOtherBrokers(t *testing.T) {
	c := threeBrokers(t)
	for name, want := range map[string]int16{"1": 0, "2": 0, "7": kerr.InvalidRequest.Code} {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, name
		r.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "log.retention.ms", Value: kmsg.StringPtr("1000")}}
		req.Resources = append(req.Resources, r)
		records, resp := (&Controller{}).IncrementalAlterConfigs(c.img, req, c.in)
		if resp.Resources[0].ErrorCode != want || (len(records) == 1) != (want == 0) {
			t.Errorf("broker %s: code %d, %d records", name, resp.Resources[0].ErrorCode, len(records))
		}
	}
}
