package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/security"
)

// The offset APIs. The coordinator knows topics by name and does not ask whether
// they exist: that is done here, and ids become names and names ids again.

// offsetCommit answers OffsetCommit (8), versions 2 to 10:
//
//	5  no retention time           6  leader epochs (KIP-320)    7  static members
//	8  flexible                    9  member epochs (KIP-848)    10  topic ids
func (h *Handler) offsetCommit(r *listener.Request, req *kmsg.OffsetCommitRequest) {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	if !h.mayReadGroup(r, req.Group) {
		resp.Topics = refuseCommit(req.Topics, kerr.GroupAuthorizationFailed)
		r.ReplyMsg(resp)
		return
	}
	img := h.image()
	ids := map[string][16]byte{}
	var refused []kmsg.OffsetCommitResponseTopic
	accepted := req.Topics[:0:0]
	for _, t := range req.Topics {
		known, unknown, err := h.committable(r, img, &t, req.Version)
		ids[t.Topic] = t.TopicID
		if err != nil {
			refused = append(refused, refuseCommit([]kmsg.OffsetCommitRequestTopic{t}, err)...)
			continue
		}
		if len(unknown) > 0 {
			absent := t
			absent.Partitions = unknown
			refused = append(refused, refuseCommit([]kmsg.OffsetCommitRequestTopic{absent}, kerr.UnknownTopicOrPartition)...)
		}
		if len(known) > 0 {
			t.Partitions = known
			accepted = append(accepted, t)
		}
	}
	finish := func(resp *kmsg.OffsetCommitResponse) {
		for i := range resp.Topics {
			resp.Topics[i].TopicID = ids[resp.Topics[i].Topic]
		}
		resp.Topics = mergeCommitted(resp.Topics, refused)
		r.ReplyMsg(resp)
	}
	if len(accepted) == 0 && len(req.Topics) > 0 {
		finish(resp)
		return
	}
	req.Topics = accepted
	h.groups.OffsetCommit(req, clientOf(r), finish)
}

// committable finds the topic by its name or, from version 10 on, by its id, and
// tells the partitions that it has from the others.
func (h *Handler) committable(r *listener.Request, img *metadata.Image, t *kmsg.OffsetCommitRequestTopic, version int16) (known, unknown []kmsg.OffsetCommitRequestTopicPartition, err error) {
	var topic *metadata.Topic
	var found bool
	if version >= 10 {
		if topic, found = img.TopicByID(t.TopicID); !found {
			return nil, nil, kerr.UnknownTopicID
		}
		t.Topic = topic.Name
	} else {
		topic, found = img.Topic(t.Topic)
	}
	if !h.allowed(r, security.Read, topicResource(t.Topic)) {
		return nil, nil, kerr.TopicAuthorizationFailed
	}
	if !found {
		return nil, nil, kerr.UnknownTopicOrPartition
	}
	for _, p := range t.Partitions {
		if p.Partition >= 0 && int(p.Partition) < len(topic.Partitions) {
			known = append(known, p)
		} else {
			unknown = append(unknown, p)
		}
	}
	return known, unknown, nil
}

func refuseCommit(topics []kmsg.OffsetCommitRequestTopic, why error) []kmsg.OffsetCommitResponseTopic {
	var refused []kmsg.OffsetCommitResponseTopic
	for _, t := range topics {
		told := kmsg.NewOffsetCommitResponseTopic()
		told.Topic, told.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			answer := kmsg.NewOffsetCommitResponseTopicPartition()
			answer.Partition, answer.ErrorCode = p.Partition, errorCode(why)
			told.Partitions = append(told.Partitions, answer)
		}
		refused = append(refused, told)
	}
	return refused
}

// mergeCommitted puts a topic's partitions together, whoever answered them.
func mergeCommitted(topics, more []kmsg.OffsetCommitResponseTopic) []kmsg.OffsetCommitResponseTopic {
	type topicKey struct {
		name string
		id   [16]byte
	}
	at := make(map[topicKey]int, len(topics)+len(more))
	for i, t := range topics {
		at[topicKey{t.Topic, t.TopicID}] = i
	}
	for _, m := range more {
		key := topicKey{m.Topic, m.TopicID}
		if i, known := at[key]; known {
			topics[i].Partitions = append(topics[i].Partitions, m.Partitions...)
			continue
		}
		at[key] = len(topics)
		topics = append(topics, m)
	}
	return topics
}

// offsetFetch answers OffsetFetch (9), versions 1 to 10:
//
//	2  null asks for all topics    3  throttle time       5  leader epochs
//	6  flexible                    7  stable only         8  several groups (KIP-709)
//	9  member epochs (KIP-848)     10  topic ids
func (h *Handler) offsetFetch(r *listener.Request, req *kmsg.OffsetFetchRequest) {
	if req.Version < 8 {
		h.fetchOneGroup(r, req)
		return
	}
	img := h.image()
	var refused []kmsg.OffsetFetchResponseGroup
	unknown := map[string][]kmsg.OffsetFetchResponseGroupTopic{}
	allowed := req.Groups[:0]
	for _, g := range req.Groups {
		if !h.allowed(r, security.Describe, groupResource(g.Group)) {
			told := kmsg.NewOffsetFetchResponseGroup()
			told.Group, told.ErrorCode = g.Group, kerr.GroupAuthorizationFailed.Code
			refused = append(refused, told)
			continue
		}
		if req.Version >= 10 && g.Topics != nil {
			g.Topics, unknown[g.Group] = nameTopics(img, g.Topics)
		}
		allowed = append(allowed, g)
	}
	req.Groups = allowed
	h.groups.OffsetFetch(req, clientOf(r), func(resp *kmsg.OffsetFetchResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			if req.Version >= 10 {
				g.Topics = identifyTopics(img, g.Topics)
			}
			g.Topics = append(g.Topics, unknown[g.Group]...)
		}
		resp.Groups = append(resp.Groups, refused...)
		r.ReplyMsg(resp)
	})
}

func refusedOffsetsOf(topics []kmsg.OffsetFetchRequestTopic) (refused []kmsg.OffsetFetchResponseTopic) {
	for _, t := range topics {
		told := kmsg.NewOffsetFetchResponseTopic()
		told.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewOffsetFetchResponseTopicPartition()
			answer.Partition, answer.Offset, answer.ErrorCode = p, -1, kerr.GroupAuthorizationFailed.Code
			answer.Metadata = kmsg.StringPtr("")
			told.Partitions = append(told.Partitions, answer)
		}
		refused = append(refused, told)
	}
	return refused
}

func (h *Handler) fetchOneGroup(r *listener.Request, req *kmsg.OffsetFetchRequest) {
	if h.allowed(r, security.Describe, groupResource(req.Group)) {
		h.groups.OffsetFetch(req, clientOf(r), func(resp *kmsg.OffsetFetchResponse) { r.ReplyMsg(resp) })
		return
	}
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	resp.ErrorCode = kerr.GroupAuthorizationFailed.Code
	if req.Version < 2 { // which has no code for the whole
		resp.Topics = refusedOffsetsOf(req.Topics)
	}
	r.ReplyMsg(resp)
}

// nameTopics gives topics that are asked for by id their names, and answers
// those that are not known.
func nameTopics(img *metadata.Image, asked []kmsg.OffsetFetchRequestGroupTopic) (known []kmsg.OffsetFetchRequestGroupTopic, unknown []kmsg.OffsetFetchResponseGroupTopic) {
	known = []kmsg.OffsetFetchRequestGroupTopic{}
	for _, t := range asked {
		if topic, found := img.TopicByID(t.TopicID); found {
			t.Topic = topic.Name
			known = append(known, t)
			continue
		}
		told := kmsg.NewOffsetFetchResponseGroupTopic()
		told.TopicID = t.TopicID
		for _, p := range t.Partitions {
			answer := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			answer.Partition, answer.Offset, answer.ErrorCode, answer.Metadata = p, -1, kerr.UnknownTopicID.Code, addressOf("")
			told.Partitions = append(told.Partitions, answer)
		}
		unknown = append(unknown, told)
	}
	return known, unknown
}

// identifyTopics gives topics their ids; one that was deleted has none and is
// left out.
func identifyTopics(img *metadata.Image, topics []kmsg.OffsetFetchResponseGroupTopic) []kmsg.OffsetFetchResponseGroupTopic {
	kept := topics[:0]
	for _, t := range topics {
		if topic, found := img.Topic(t.Topic); found {
			t.TopicID = topic.ID
			kept = append(kept, t)
		}
	}
	return kept
}

// offsetDelete answers OffsetDelete (47), version 0 (KIP-496).
func (h *Handler) offsetDelete(r *listener.Request, req *kmsg.OffsetDeleteRequest) {
	resp := req.ResponseKind().(*kmsg.OffsetDeleteResponse)
	err := error(nil)
	switch {
	case !h.allowed(r, security.Delete, groupResource(req.Group)):
		err = kerr.GroupAuthorizationFailed
	case req.Group == "":
		err = kerr.InvalidGroupID
	}
	if err != nil {
		resp.ErrorCode = errorCode(err)
		r.ReplyMsg(resp)
		return
	}
	img := h.image()
	var refused []kmsg.OffsetDeleteResponseTopic
	accepted := req.Topics[:0:0]
	for _, t := range req.Topics {
		topic, found := img.Topic(t.Topic)
		told := kmsg.NewOffsetDeleteResponseTopic()
		told.Topic = t.Topic
		kept := t
		kept.Partitions = nil
		for _, p := range t.Partitions {
			err := error(kerr.UnknownTopicOrPartition)
			if !h.allowed(r, security.Read, topicResource(t.Topic)) {
				err = kerr.TopicAuthorizationFailed
			} else if found && p.Partition >= 0 && int(p.Partition) < len(topic.Partitions) {
				kept.Partitions = append(kept.Partitions, p)
				continue
			}
			answer := kmsg.NewOffsetDeleteResponseTopicPartition()
			answer.Partition, answer.ErrorCode = p.Partition, errorCode(err)
			told.Partitions = append(told.Partitions, answer)
		}
		if len(told.Partitions) > 0 {
			refused = append(refused, told)
		}
		if len(kept.Partitions) > 0 {
			accepted = append(accepted, kept)
		}
	}
	req.Topics = accepted
	h.groups.OffsetDelete(req, clientOf(r), func(resp *kmsg.OffsetDeleteResponse) {
		if resp.ErrorCode == 0 {
			resp.Topics = mergeDeleted(resp.Topics, refused)
		}
		r.ReplyMsg(resp)
	})
}

// mergeDeleted puts a topic's partitions together, whoever answered them.
func mergeDeleted(topics, more []kmsg.OffsetDeleteResponseTopic) []kmsg.OffsetDeleteResponseTopic {
	at := make(map[string]int, len(topics)+len(more))
	for i, t := range topics {
		at[t.Topic] = i
	}
	for _, m := range more {
		if i, known := at[m.Topic]; known {
			topics[i].Partitions = append(topics[i].Partitions, m.Partitions...)
			continue
		}
		at[m.Topic] = len(topics)
		topics = append(topics, m)
	}
	return topics
}
