package controller

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// CreatePartitions decides which topics grow. A request counts what a topic is
// to have in the end, not what is added. The topics of coordinators do not grow. Kafka
// lets them, and then looks for groups where they are not.
func (*Controller) CreatePartitions(img *metadata.Image, req *kmsg.CreatePartitionsRequest) ([]metadata.Record, *kmsg.CreatePartitionsResponse) {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	times := map[string]int{}
	for _, t := range req.Topics {
		times[t.Topic]++
	}
	var records []metadata.Record
	left := maxRecords
	for _, wanted := range req.Topics {
		if times[wanted.Topic] == 0 {
			continue // came twice, and was answered the first time
		}
		added, err := decideGrowth(img, wanted, times[wanted.Topic], left)
		times[wanted.Topic] = 0
		if err == nil {
			records = append(records, added)
			left -= len(added.Partitions)
		}
		told := kmsg.NewCreatePartitionsResponseTopic()
		told.Topic = wanted.Topic
		told.ErrorCode, told.ErrorMessage = answer(err)
		resp.Topics = append(resp.Topics, told)
	}
	if req.ValidateOnly {
		return nil, resp
	}
	return records, resp
}

func decideGrowth(img *metadata.Image, wanted kmsg.CreatePartitionsRequestTopic, times, most int) (*metadata.PartitionsAdded, error) {
	if times > 1 {
		return nil, refuse(kerr.InvalidRequest, "Duplicate topic name.")
	}
	t, found := img.Topic(wanted.Topic)
	if !found {
		return nil, refuse(kerr.UnknownTopicOrPartition, "")
	}
	has := len(t.Partitions)
	more := int(wanted.Count) - has
	switch {
	case t.Name == metadata.ConsumerOffsets || t.Name == metadata.TransactionState:
		return nil, refuse(kerr.InvalidPartitions, "The partitions of %s are as many as it was created with: where a group or a transactional id is kept "+
			"follows from their number, so what is kept would not be found any more.", t.Name)
	case more == 0:
		return nil, refuse(kerr.InvalidPartitions, "Topic already has %d partition(s).", has)
	case more < 0:
		return nil, refuse(kerr.InvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", t.Name, has, wanted.Count)
	case wanted.Assignment != nil && len(wanted.Assignment) != more:
		return nil, refuse(kerr.InvalidReplicaAssignment, "Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", more, len(wanted.Assignment))
	case more > most:
		return nil, errTooMany
	}
	partitions, err := morePartitions(img, t, more, wanted.Assignment)
	if err != nil {
		return nil, err
	}
	return &metadata.PartitionsAdded{TopicID: t.ID, First: int32(has), Partitions: partitions}, nil
}

// morePartitions lays out new partitions with as many replicas as the topic's
// first one has, or will have when it has moved.
func morePartitions(img *metadata.Image, t *metadata.Topic, more int, assignment []kmsg.CreatePartitionsRequestTopicAssignment) ([]metadata.Partition, error) {
	first := without(t.Partitions[0].Replicas, t.Partitions[0].Removing())
	if assignment == nil {
		return placePartitions(img, t.Partitions, 0, more, len(first))
	}
	partitions := make([]metadata.Partition, more)
	for i, a := range assignment {
		if err := checkReplicas(img, a.Replicas, len(first)); err != nil {
			return nil, err
		}
		p, err := newPartition(img, a.Replicas, kerr.InvalidReplicaAssignment, len(t.Partitions)+i)
		if err != nil {
			return nil, err
		}
		partitions[i] = p
	}
	return partitions, nil
}
