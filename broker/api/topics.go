package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// createTopics answers CreateTopics (19), versions 2 to 7:
//
//	4  defaults of the broker (-1)    5  flexible, answers with the configuration (KIP-525)
//	6  throttling                     7  topic ids (KIP-516)
func (h *Handler) createTopics(r *listener.Request, req *kmsg.CreateTopicsRequest) {
	refusal := func(t *kmsg.CreateTopicsRequestTopic, err error) kmsg.CreateTopicsResponseTopic {
		told := kmsg.NewCreateTopicsResponseTopic()
		told.Topic, told.ErrorCode, told.ErrorMessage = t.Topic, errorCode(err), protocol.ErrorMessage(err)
		return told
	}
	created := h.mutations(r, 6, req.ValidateOnly)
	may := func(t *kmsg.CreateTopicsRequestTopic) error {
		if !h.mayCreate(r, t.Topic) {
			return errMayNotCreate
		}
		return created.take(t.Topic, h.partitionsOf(t))
	}
	var refused []kmsg.CreateTopicsResponseTopic
	req.Topics, refused = permit(req.Topics, may, refusal)
	resp, err := decide(h, req, func(img *metadata.Image) ([]metadata.Record, *kmsg.CreateTopicsResponse) {
		return h.controller.CreateTopics(img, req, h.inputs())
	})
	if err != nil {
		resp = req.ResponseKind().(*kmsg.CreateTopicsResponse)
		resp.Topics = refuseAll(req.Topics, err, refusal)
	}
	for i := range resp.Topics {
		if resp.Topics[i].ErrorCode != 0 {
			created.failed(resp.Topics[i].Topic)
		}
	}
	resp.Topics = append(resp.Topics, refused...)
	r.ReplyMsg(resp)
}

// partitionsOf is how many partitions a topic is to have.
func (h *Handler) partitionsOf(t *kmsg.CreateTopicsRequestTopic) int {
	switch {
	case len(t.ReplicaAssignment) > 0:
		return len(t.ReplicaAssignment)
	case t.NumPartitions < 0:
		return int(h.config.NumPartitions)
	}
	return int(t.NumPartitions)
}

// errMayNotCreate has Kafka's words.
var errMayNotCreate = fmt.Errorf("Authorization failed.: %w", kerr.TopicAuthorizationFailed)

// deleteTopics answers DeleteTopics (20), versions 1 to 6:
//
//	4  flexible    5  error messages    6  by topic id (KIP-516)
func (h *Handler) deleteTopics(r *listener.Request, req *kmsg.DeleteTopicsRequest) {
	img, deleted := h.image(), h.mutations(r, 5, false)
	refusal := func(t *kmsg.DeleteTopicsRequestTopic, err error) kmsg.DeleteTopicsResponseTopic {
		told := kmsg.NewDeleteTopicsResponseTopic()
		told.Topic, told.TopicID, told.ErrorCode, told.ErrorMessage = t.Topic, t.TopicID, errorCode(err), protocol.ErrorMessage(err)
		return told
	}
	named := func(name *string, err error) kmsg.DeleteTopicsResponseTopic {
		own := *name // the request's list moves together
		return refusal(&kmsg.DeleteTopicsRequestTopic{Topic: &own}, err)
	}
	var refused, refusedNames []kmsg.DeleteTopicsResponseTopic
	req.Topics, refused = permit(req.Topics, func(t *kmsg.DeleteTopicsRequestTopic) error {
		return h.mayDelete(r, img, t.Topic, t.TopicID, deleted)
	}, refusal)
	req.TopicNames, refusedNames = permit(req.TopicNames, func(name *string) error {
		return h.mayDelete(r, img, name, [16]byte{}, deleted)
	}, named)
	resp, err := decide(h, req, func(img *metadata.Image) ([]metadata.Record, *kmsg.DeleteTopicsResponse) {
		return h.controller.DeleteTopics(img, req, h.inputs())
	})
	if err != nil {
		resp = req.ResponseKind().(*kmsg.DeleteTopicsResponse)
		resp.Topics = append(refuseAll(req.Topics, err, refusal), refuseAll(req.TopicNames, err, named)...)
	}
	for i := range resp.Topics {
		if t := &resp.Topics[i]; t.ErrorCode != 0 && t.Topic != nil {
			deleted.failed(*t.Topic)
		}
	}
	resp.Topics = append(append(resp.Topics, refused...), refusedNames...)
	r.ReplyMsg(resp)
}

// mayDelete says why a topic may not be deleted, by rights or by quota. That there is
// none is for the answer to say.
func (h *Handler) mayDelete(r *listener.Request, img *metadata.Image, name *string, id [16]byte, deleted *mutations) error {
	t, found := img.TopicByID(id)
	switch {
	case name != nil:
		t, found = img.Topic(*name)
	case !found:
		return nil
	default:
		name = &t.Name
	}
	if !h.allowed(r, security.Delete, topicResource(*name)) {
		return kerr.TopicAuthorizationFailed
	}
	if !found {
		return nil
	}
	return deleted.take(t.Name, len(t.Partitions))
}

// createPartitions answers CreatePartitions (37), versions 0 to 3:
//
//	2  flexible    3  throttling
func (h *Handler) createPartitions(r *listener.Request, req *kmsg.CreatePartitionsRequest) {
	refusal := func(t *kmsg.CreatePartitionsRequestTopic, err error) kmsg.CreatePartitionsResponseTopic {
		told := kmsg.NewCreatePartitionsResponseTopic()
		told.Topic, told.ErrorCode = t.Topic, errorCode(err)
		return told
	}
	img, added := h.image(), h.mutations(r, 3, req.ValidateOnly)
	may := func(t *kmsg.CreatePartitionsRequestTopic) error {
		if !h.allowed(r, security.Alter, topicResource(t.Topic)) {
			return kerr.TopicAuthorizationFailed
		}
		if topic, found := img.Topic(t.Topic); found {
			return added.take(t.Topic, int(t.Count)-len(topic.Partitions))
		}
		return nil
	}
	var refused []kmsg.CreatePartitionsResponseTopic
	req.Topics, refused = permit(req.Topics, may, refusal)
	resp, err := decide(h, req, func(img *metadata.Image) ([]metadata.Record, *kmsg.CreatePartitionsResponse) {
		return h.controller.CreatePartitions(img, req)
	})
	if err != nil {
		resp = req.ResponseKind().(*kmsg.CreatePartitionsResponse)
		resp.Topics = refuseAll(req.Topics, err, refusal)
	}
	for i := range resp.Topics {
		if resp.Topics[i].ErrorCode != 0 {
			added.failed(resp.Topics[i].Topic)
		}
	}
	resp.Topics = append(resp.Topics, refused...)
	r.ReplyMsg(resp)
}

// deleteRecords answers DeleteRecords (21), versions 0 to 2 (KIP-107):
//
//	1  throttling    2  flexible
func (h *Handler) deleteRecords(r *listener.Request, req *kmsg.DeleteRecordsRequest) {
	resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
	for i := range req.Topics {
		t := &req.Topics[i]
		told := kmsg.NewDeleteRecordsResponseTopic()
		told.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewDeleteRecordsResponseTopicPartition()
			answer.Partition = p.Partition
			low, err := h.deleteBefore(r, t.Topic, p.Partition, p.Offset)
			if err != nil {
				low = -1
			}
			answer.LowWatermark, answer.ErrorCode = low, errorCode(err)
			told.Partitions = append(told.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, told)
	}
	r.ReplyMsg(resp)
}

func (h *Handler) deleteBefore(r *listener.Request, topic string, partition int32, offset int64) (low int64, err error) {
	if !h.allowed(r, security.Delete, topicResource(topic)) {
		return -1, kerr.TopicAuthorizationFailed
	}
	p, err := h.led(topic, partition)
	switch {
	case err != nil:
		return -1, err
	case metadata.IsInternal(topic):
		return -1, kerr.InvalidTopicException
	case !p.Log().Config().Delete:
		return -1, kerr.PolicyViolation
	}
	return p.DeleteRecords(offset)
}
