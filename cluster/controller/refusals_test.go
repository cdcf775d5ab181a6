package controller

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

// threeBrokers is a cluster whose feature f is at level 3, with a topic a of three
// partitions and two replicas, led by the brokers 1, 2 and 3.
func threeBrokers(t *testing.T) *cluster {
	c := newCluster(t)
	c.apply(t, []metadata.Record{&metadata.ClusterNamed{ClusterID: "klamm"}, &metadata.FeatureLevelSet{Name: "f", Level: 3}})
	for id := int32(1); id <= 3; id++ {
		c.apply(t, []metadata.Record{&metadata.BrokerRegistered{Broker: metadata.Broker{
			ID: id, Epoch: int64(10 + id), BrokerState: metadata.BrokerState{LogDirs: [][16]byte{dirID(id)}}}}})
	}
	c.send(t, createRequest(t, [][]string{{"a", "assign=0:1/2,1:2/3,2:3/1"}}, false))
	return c
}

func TestRegistrationRefused(t *testing.T) {
	c := threeBrokers(t)
	for name, refused := range map[string]struct {
		change func(*kmsg.BrokerRegistrationRequest)
		want   error
	}{
		"in order":            {func(*kmsg.BrokerRegistrationRequest) {}, nil},
		"another cluster":     {func(r *kmsg.BrokerRegistrationRequest) { r.ClusterID = "other" }, kerr.InconsistentClusterID},
		"of ZooKeeper":        {func(r *kmsg.BrokerRegistrationRequest) { r.IsMigratingZkBroker = true }, kerr.BrokerIDNotRegistered},
		"id in use":           {func(r *kmsg.BrokerRegistrationRequest) { r.BrokerID = 2 }, kerr.DuplicateBrokerRegistration},
		"log dir in use":      {func(r *kmsg.BrokerRegistrationRequest) { r.LogDirs = [][16]byte{dirID(2)} }, kerr.InvalidRegistration},
		"no log dir":          {func(r *kmsg.BrokerRegistrationRequest) { r.LogDirs = nil }, kerr.InvalidRegistration},
		"reserved log dir":    {func(r *kmsg.BrokerRegistrationRequest) { r.LogDirs = [][16]byte{{15: 99}} }, kerr.InvalidRegistration},
		"does not know f":     {func(r *kmsg.BrokerRegistrationRequest) { r.Features = nil }, kerr.UnsupportedVersion},
		"too old for f":       {func(r *kmsg.BrokerRegistrationRequest) { r.Features[0].MaxSupportedVersion = 2 }, kerr.UnsupportedVersion},
		"too new for f":       {func(r *kmsg.BrokerRegistrationRequest) { r.Features[0].MinSupportedVersion = 4 }, kerr.UnsupportedVersion},
		"not reserved at all": {func(r *kmsg.BrokerRegistrationRequest) { r.LogDirs = [][16]byte{{15: 100}} }, nil},
	} {
		req := kmsg.NewPtrBrokerRegistrationRequest()
		req.BrokerID, req.ClusterID, req.LogDirs, req.IncarnationID = 4, "klamm", [][16]byte{dirID(4)}, [16]byte{4}
		req.Features = []kmsg.BrokerRegistrationRequestFeature{{Name: "f", MinSupportedVersion: 1, MaxSupportedVersion: 3}}
		for _, f := range features {
			req.Features = append(req.Features, kmsg.BrokerRegistrationRequestFeature{Name: f.Name, MinSupportedVersion: f.Min, MaxSupportedVersion: f.Max})
		}
		req.Listeners = []kmsg.BrokerRegistrationRequestListener{{Name: "PLAINTEXT", Host: "here", Port: 9092}}
		refused.change(req)
		records, resp, err := (&Controller{}).RegisterBroker(c.img, req, true, c.in)
		if !errors.Is(err, refused.want) || (resp.ErrorCode == 0) != (refused.want == nil) || (len(records) > 0) != (refused.want == nil) {
			t.Errorf("%s: code %d, %v, %d records", name, resp.ErrorCode, err, len(records))
		}
		if err == nil {
			b := records[len(records)-1].(*metadata.BrokerRegistered).Broker
			if b.Endpoints[0].Host != "here" || b.Features[0].Max != 3 || !b.Fenced || b.Epoch != resp.BrokerEpoch || b.Epoch != 14 {
				t.Errorf("%s: registered %+v", name, b)
			}
		}
	}
}

// TestAlterPartitionVersions: leaders of older versions name topics and brokers
// without epochs, and know other codes.
func TestAlterPartitionVersions(t *testing.T) {
	c := threeBrokers(t)
	topic, _ := c.img.Topic("a")
	ask := func(version int16, name string, index int32, isr ...int32) int16 {
		req := kmsg.NewPtrAlterPartitionRequest()
		req.Version, req.BrokerID, req.BrokerEpoch = version, 1, 11
		wanted := kmsg.AlterPartitionRequestTopicPartition{Partition: index, NewISR: isr}
		for _, id := range isr {
			wanted.NewEpochISR = append(wanted.NewEpochISR, kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{BrokerID: id, BrokerEpoch: int64(10 + id)})
		}
		asked := kmsg.AlterPartitionRequestTopic{Topic: name, Partitions: []kmsg.AlterPartitionRequestTopicPartition{wanted}}
		if name == "a" {
			asked.TopicID = topic.ID
		}
		req.Topics = []kmsg.AlterPartitionRequestTopic{asked}
		_, resp := (&Controller{}).AlterPartition(c.img, req, c.in)
		return resp.Topics[0].Partitions[0].ErrorCode
	}
	for version := range int16(4) {
		unknown := kerr.UnknownTopicID
		if version < 2 {
			unknown = kerr.UnknownTopicOrPartition
		}
		if code := ask(version, "a", 0, 1); code != 0 {
			t.Errorf("version %d: code %d", version, code)
		}
		if code := ask(version, "b", 0, 1); code != unknown.Code {
			t.Errorf("version %d of an unknown topic: code %d", version, code)
		}
		if code := ask(version, "a", 3, 1); code != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("version %d of an unknown partition: code %d", version, code)
		}
	}
	records, _ := (&Controller{}).FenceBroker(c.img, 2, c.in)
	fenced := *c
	fenced.apply(t, records)
	c = &fenced
	for version, want := range map[int16]*kerr.Error{1: kerr.OperationNotAttempted, 2: kerr.IneligibleReplica} {
		// The ISR is back to 1 at partition epoch 1: asked for at epoch 0 it is too late.
		if code := ask(version, "a", 0, 1, 2); code != kerr.InvalidUpdateVersion.Code {
			t.Errorf("version %d at an old epoch: code %d", version, code)
		}
		req := kmsg.NewPtrAlterPartitionRequest()
		req.Version, req.BrokerID, req.BrokerEpoch = version, 1, 11
		req.Topics = []kmsg.AlterPartitionRequestTopic{{Topic: "a", TopicID: topic.ID, Partitions: []kmsg.AlterPartitionRequestTopicPartition{
			{Partition: 0, NewISR: []int32{1, 2}, PartitionEpoch: 1}}}}
		_, resp := (&Controller{}).AlterPartition(c.img, req, c.in)
		if code := resp.Topics[0].Partitions[0].ErrorCode; code != want.Code {
			t.Errorf("version %d with a fenced broker: code %d, want %d", version, code, want.Code)
		}
	}
	stale := &kmsg.AlterPartitionRequest{Version: 3, BrokerID: 1, BrokerEpoch: 1}
	if _, resp := (&Controller{}).AlterPartition(c.img, stale, c.in); resp.ErrorCode != kerr.StaleBrokerEpoch.Code {
		t.Errorf("stale broker: code %d", resp.ErrorCode)
	}
}

func TestAssignDirsRefused(t *testing.T) {
	c := threeBrokers(t)
	topic, _ := c.img.Topic("a")
	ask := func(epoch int64, id [16]byte, index int32) (records []metadata.Record, code int16) {
		req := kmsg.NewPtrAssignReplicasToDirsRequest()
		req.BrokerID, req.BrokerEpoch = 1, epoch
		req.Directories = []kmsg.AssignReplicasToDirsRequestDirectory{{ID: dirID(77), Topics: []kmsg.AssignReplicasToDirsRequestDirectoryTopic{
			{TopicID: id, Partitions: []kmsg.AssignReplicasToDirsRequestDirectoryTopicPartition{{Partition: index}, {Partition: index}}}}}}
		records, resp := (&Controller{}).AssignReplicasToDirs(c.img, req, c.in)
		if resp.ErrorCode != 0 {
			return records, resp.ErrorCode
		}
		return records, resp.Directories[0].Topics[0].Partitions[1].ErrorCode
	}
	for _, refused := range []struct {
		epoch int64
		id    [16]byte
		index int32
		want  *kerr.Error
	}{
		{1, topic.ID, 0, kerr.StaleBrokerEpoch},
		{11, [16]byte{9}, 0, kerr.UnknownTopicID},
		{11, topic.ID, 9, kerr.UnknownTopicOrPartition},
		{11, topic.ID, 1, kerr.NotLeaderForPartition},
	} {
		if records, code := ask(refused.epoch, refused.id, refused.index); code != refused.want.Code || len(records) > 0 {
			t.Errorf("%+v: code %d, %d records", refused, code, len(records))
		}
	}
	records, code := ask(11, topic.ID, 0)
	c.apply(t, records)
	topic, _ = c.img.Topic("a")
	if p := topic.Partitions[0]; code != 0 || p.Leader != 2 || p.PartitionEpoch != 1 {
		t.Errorf("code %d, partition %+v", code, p)
	}
}

// TestElectionTypes: preferred and unclean are all there are, and every partition can
// be asked for at once.
func TestElectionTypes(t *testing.T) {
	c := threeBrokers(t)
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version, req.ElectionType = 2, 2
	if _, resp := (&Controller{}).ElectLeaders(c.img, req, c.in); resp.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("type 2: code %d", resp.ErrorCode)
	}
	req.ElectionType = 0
	if records, resp := (&Controller{}).ElectLeaders(c.img, req, c.in); len(records) > 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) > 0 {
		t.Errorf("all are led as preferred: %d records, %+v", len(records), resp.Topics)
	}
}

// TestWhereNoReplicaCanBe: topics need an active broker, and moves may be asked not to
// change the number of replicas.
func TestWhereNoReplicaCanBe(t *testing.T) {
	c := threeBrokers(t)
	sameSize := reassignRequest(t, [][]string{{"a", "0", "1/2/3"}, {"a", "1", "3/1"}}, true).(*kmsg.AlterPartitionAssignmentsRequest)
	sameSize.Version = 1
	resp := c.send(t, sameSize).(*kmsg.AlterPartitionAssignmentsResponse)
	if first, second := resp.Topics[0].Partitions[0], resp.Topics[1].Partitions[0]; first.ErrorCode != kerr.InvalidReplicationFactor.Code || second.ErrorCode != 0 {
		t.Errorf("codes %d and %d", first.ErrorCode, second.ErrorCode)
	}
	for id := int32(1); id <= 3; id++ {
		records, _ := (&Controller{}).FenceBroker(c.img, id, c.in)
		c.apply(t, records)
	}
	told := c.send(t, createRequest(t, [][]string{{"b", "rf=2"}, {"c", "assign=0:1/2"}}, false)).(*kmsg.CreateTopicsResponse)
	if told.Topics[0].ErrorCode != kerr.InvalidReplicationFactor.Code || told.Topics[1].ErrorCode != kerr.InvalidReplicaAssignment.Code {
		t.Errorf("codes %d and %d", told.Topics[0].ErrorCode, told.Topics[1].ErrorCode)
	}
	grown := c.send(t, partitionsRequest(t, [][]string{{"a", "count=4"}}, false)).(*kmsg.CreatePartitionsResponse)
	if grown.Topics[0].ErrorCode != kerr.InvalidReplicationFactor.Code {
		t.Errorf("more partitions: code %d", grown.Topics[0].ErrorCode)
	}
}

// TestCoordinatorsTopicsDoNotGrow: with more partitions groups would be looked for where
// they are not.
func TestCoordinatorsTopicsDoNotGrow(t *testing.T) {
	for _, topic := range []string{metadata.ConsumerOffsets, metadata.TransactionState} {
		c := newCluster(t)
		partitions := []metadata.Partition{{Leader: 1, Replicas: []int32{1}, ISR: []int32{1}}}
		c.apply(t, []metadata.Record{&metadata.TopicCreated{Topic: metadata.Topic{Name: topic, ID: protocol.NewTopicID(), Partitions: partitions}}})
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: topic, Count: 2}}
		records, resp := (&Controller{}).CreatePartitions(c.img, req)
		if told := resp.Topics[0]; len(records) > 0 || told.ErrorCode != kerr.InvalidPartitions.Code || !strings.Contains(*told.ErrorMessage, topic) {
			t.Errorf("%s grows: %v, %+v", topic, records, told)
		}
	}
}
