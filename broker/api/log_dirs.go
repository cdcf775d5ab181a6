package api

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// describeLogDirs answers DescribeLogDirs (35), versions 1 to 5 (KIP-113):
//
//	2  flexible    3  an error code for the whole    4  the disk's size (KIP-827)    5  cordoned folders
func (h *Handler) describeLogDirs(r *listener.Request, req *kmsg.DescribeLogDirsRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	if !h.allowed(r, security.Describe, security.ClusterResource) {
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		r.ReplyMsg(resp)
		return
	}
	wanted := wantedPartitions(req)
	for _, d := range h.dirs {
		told := kmsg.NewDescribeLogDirsResponseDir()
		told.Dir, told.IsCordoned = d.Path, d.Cordoned()
		if d.Dir == nil {
			told.ErrorCode = kerr.KafkaStorageError.Code
			resp.Dirs = append(resp.Dirs, told)
			continue
		}
		if free, total, err := d.Dir.Space(); err == nil {
			told.UsableBytes, told.TotalBytes = int64(free), int64(total)
		}
		told.Topics = h.partitionsIn(d, wanted)
		resp.Dirs = append(resp.Dirs, told)
	}
	r.ReplyMsg(resp)
}

// wantedPartitions returns what is asked for, nil for all.
func wantedPartitions(req *kmsg.DescribeLogDirsRequest) map[protocol.TopicPartition]bool {
	if req.Topics == nil {
		return nil
	}
	wanted := map[protocol.TopicPartition]bool{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			wanted[protocol.TopicPartition{Topic: t.Topic, Partition: p}] = true
		}
	}
	return wanted
}

func (h *Handler) partitionsIn(d LogDir, wanted map[protocol.TopicPartition]bool) []kmsg.DescribeLogDirsResponseDirTopic {
	var here []*replica.Partition
	for p := range h.partitions.All() {
		if p.Log().Dir() == d.Dir && (wanted == nil || wanted[p.TopicPartition]) {
			here = append(here, p)
		}
	}
	slices.SortFunc(here, func(a, b *replica.Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	var topics []kmsg.DescribeLogDirsResponseDirTopic
	for _, p := range here {
		if len(topics) == 0 || topics[len(topics)-1].Topic != p.Topic {
			t := kmsg.NewDescribeLogDirsResponseDirTopic()
			t.Topic = p.Topic
			topics = append(topics, t)
		}
		told := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		told.Partition, told.Size = p.Partition, p.Log().Size()
		if from, damaged := p.DamagedFrom(); damaged {
			told.UnknownTags.Set(protocol.DamagedTag, protocol.EncodeOffset(from))
		}
		t := &topics[len(topics)-1]
		t.Partitions = append(t.Partitions, told)
	}
	for _, m := range h.relocations.Relocating(d.Dir) {
		if wanted != nil && !wanted[m.TopicPartition] {
			continue
		}
		told := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		told.Partition, told.Size, told.OffsetLag, told.IsFuture = m.Partition, m.Size, m.Lag, true
		at := slices.IndexFunc(topics, func(t kmsg.DescribeLogDirsResponseDirTopic) bool { return t.Topic == m.Topic })
		if at < 0 {
			t := kmsg.NewDescribeLogDirsResponseDirTopic()
			t.Topic, at = m.Topic, len(topics)
			topics = append(topics, t)
		}
		topics[at].Partitions = append(topics[at].Partitions, told)
	}
	return topics
}
