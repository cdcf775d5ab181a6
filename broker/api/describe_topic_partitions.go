package api

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/metadata"
)

// DescribeTopicPartitions (75), version 0 (KIP-966): metadata of topics in
// pages of a bounded number of partitions, sorted by name.

func (h *Handler) describeTopicPartitions(r *listener.Request, req *kmsg.DescribeTopicPartitionsRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	page := topicPage{handler: h, request: r, image: h.image(), response: resp, left: h.pageSize(req.ResponsePartitionLimit)}
	from := kmsg.DescribeTopicPartitionsRequestCursor{}
	if req.Cursor != nil {
		from = *req.Cursor
		if !validCursor(req) {
			page.refuse(req, kerr.InvalidRequest)
			r.ReplyMsg(resp)
			return
		}
	}
	for _, name := range page.names(req, from.Topic) {
		first := int32(0)
		if name == from.Topic {
			first = from.Partition
		}
		if !page.add(name, first, len(req.Topics) > 0) {
			break
		}
	}
	r.ReplyMsg(resp)
}

// validCursor reports whether the cursor stands at a partition of a topic that is
// asked for.
func validCursor(req *kmsg.DescribeTopicPartitionsRequest) bool {
	return req.Cursor.Partition >= 0 && (len(req.Topics) == 0 ||
		slices.ContainsFunc(req.Topics, func(t kmsg.DescribeTopicPartitionsRequestTopic) bool { return t.Topic == req.Cursor.Topic }))
}

// pageSize is how many partitions one answer holds, at least one.
func (h *Handler) pageSize(asked int32) int {
	return max(1, min(int(h.config.MaxRequestPartitionSizeLimit), int(asked)))
}

type topicPage struct {
	handler  *Handler
	request  *listener.Request
	image    *metadata.Image
	response *kmsg.DescribeTopicPartitionsResponse
	left     int
}

// names returns the topics asked for, or all, sorted, from the given one on.
func (p *topicPage) names(req *kmsg.DescribeTopicPartitionsRequest, from string) []string {
	var names []string
	if len(req.Topics) == 0 {
		for t := range p.image.Topics() {
			names = append(names, t.Name)
		}
	}
	for _, t := range req.Topics {
		names = append(names, t.Topic)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	at, _ := slices.BinarySearchFunc(names, from, cmp.Compare[string])
	return names[at:]
}

// refuse answers every topic that was asked for with why.
func (p *topicPage) refuse(req *kmsg.DescribeTopicPartitionsRequest, why error) {
	for _, t := range req.Topics {
		told := kmsg.NewDescribeTopicPartitionsResponseTopic()
		told.Topic, told.ErrorCode = &t.Topic, errorCode(why)
		p.response.Topics = append(p.response.Topics, told)
	}
}

// add adds a topic from partition first on, and reports whether the page has
// room for more.
func (p *topicPage) add(name string, first int32, named bool) bool {
	h, r := p.handler, p.request
	if p.left == 0 {
		p.turnAt(name, first)
		return false
	}
	told := kmsg.NewDescribeTopicPartitionsResponseTopic()
	told.Topic = &name
	t, err := h.findTopic(r, p.image, &name, [16]byte{})
	if err != nil {
		if named {
			told.ErrorCode, told.IsInternal = errorCode(err), metadata.IsInternal(name)
			p.response.Topics = append(p.response.Topics, told)
		}
		return true
	}
	told.TopicID, told.IsInternal = t.ID, t.Internal()
	told.AuthorizedOperations = h.operations(r, true, topicResource(name), topicOperations)
	until := min(int(first)+p.left, len(t.Partitions))
	for i := int(max(first, 0)); i < until; i++ {
		told.Partitions = append(told.Partitions, p.partition(t, int32(i)))
	}
	p.left -= len(told.Partitions)
	p.response.Topics = append(p.response.Topics, told)
	if until < len(t.Partitions) {
		p.turnAt(name, int32(until))
		return false
	}
	return true
}

func (p *topicPage) partition(t *metadata.Topic, i int32) kmsg.DescribeTopicPartitionsResponseTopicPartition {
	s, is := p.handler.partitionState(p.image, t, i), &t.Partitions[i]
	told := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	told.Partition, told.ErrorCode, told.LeaderID, told.LeaderEpoch = i, s.errorCode, s.leader, is.LeaderEpoch
	told.Replicas, told.ISR, told.OfflineReplicas = is.Replicas, s.isr, s.offline
	told.EligibleLeaderReplicas, told.LastKnownELR = listed(is.ELR()), listed(is.LastKnownELR())
	return told
}

// listed makes an empty list of none, which would read as not known.
func listed(brokers []int32) []int32 {
	if brokers == nil {
		return []int32{}
	}
	return brokers
}

// turnAt says where the next page begins.
func (p *topicPage) turnAt(name string, partition int32) {
	next := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	next.Topic, next.Partition = name, partition
	p.response.NextCursor = &next
}
