package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

// AssignReplicasToDirs hears of a broker in which log dir it keeps which partitions
// (KIP-858). Where everything works that changes nothing: the metadata does not keep
// it. Of a log dir that failed it is what the controller has to know: the broker
// leaves the ISR of those partitions, and does not lead them before it has started
// anew.
func (*Controller) AssignReplicasToDirs(img *metadata.Image, req *kmsg.AssignReplicasToDirsRequest, in Inputs) ([]metadata.Record, *kmsg.AssignReplicasToDirsResponse) {
	resp := req.ResponseKind().(*kmsg.AssignReplicasToDirsResponse)
	b, err := checkBrokerEpoch(img, req.BrokerID, req.BrokerEpoch)
	if err != nil {
		resp.ErrorCode, _ = answer(err)
		return nil, resp
	}
	e := newEdit(img, in)
	for _, dir := range req.Directories {
		told := kmsg.NewAssignReplicasToDirsResponseDirectory()
		told.ID = dir.ID
		failed := !slices.Contains(b.LogDirs, dir.ID)
		for _, topic := range dir.Topics {
			told.Topics = append(told.Topics, assignDir(e, b.ID, &topic, failed))
		}
		resp.Directories = append(resp.Directories, told)
	}
	return e.records, resp
}

func assignDir(e *edit, broker int32, topic *kmsg.AssignReplicasToDirsRequestDirectoryTopic, failed bool) kmsg.AssignReplicasToDirsResponseDirectoryTopic {
	told := kmsg.NewAssignReplicasToDirsResponseDirectoryTopic()
	told.TopicID = topic.TopicID
	t, found := e.img.TopicByID(protocol.TopicID(topic.TopicID))
	for _, wanted := range topic.Partitions {
		p := kmsg.NewAssignReplicasToDirsResponseDirectoryTopicPartition()
		p.Partition, p.ErrorCode = wanted.Partition, kerr.UnknownTopicID.Code
		if found {
			p.ErrorCode = protocol.ErrorCode(assignPartition(e, broker, t, wanted.Partition, failed))
		}
		told.Partitions = append(told.Partitions, p)
	}
	return told
}

func assignPartition(e *edit, broker int32, t *metadata.Topic, index int32, failed bool) error {
	p := e.partition(t, index)
	switch {
	case p == nil:
		return kerr.UnknownTopicOrPartition
	case !slices.Contains(p.Replicas, broker):
		return kerr.NotLeaderForPartition
	case !failed || slices.Contains(p.Offline(), broker):
		return nil
	}
	d := e.draft(t, p)
	d.isr = without(p.ISR, []int32{broker})
	d.state.Offline = append(slices.Clone(d.state.Offline), broker)
	if next, changed := d.finish(); changed {
		e.change(t, index, next)
	}
	return nil
}
