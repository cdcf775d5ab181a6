package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/storage/log"
)

// Relocations move logs of this broker from one folder of log.dirs to another.
type Relocations interface {
	// Relocate begins to move a log to the folder with that path, or takes back a move
	// where it is there.
	Relocate(tp protocol.TopicPartition, path string) error
	// Relocating returns what is on its way to a folder.
	Relocating(to *log.Dir) []Relocation
}

// Relocation is a log on its way to another folder.
type Relocation struct {
	protocol.TopicPartition
	Size int64 // bytes of the copy
	Lag  int64 // offsets that it lacks
}

// alterReplicaLogDirs answers AlterReplicaLogDirs (34), versions 1 and 2 (KIP-113),
// before anything is moved:
//
//	2  flexible
func (h *Handler) alterReplicaLogDirs(r *listener.Request, req *kmsg.AlterReplicaLogDirsRequest) {
	resp := req.ResponseKind().(*kmsg.AlterReplicaLogDirsResponse)
	allowed := h.allowed(r, security.Alter, security.ClusterResource)
	at := map[string]int{}
	for _, d := range req.Dirs {
		for _, t := range d.Topics {
			if _, known := at[t.Topic]; !known {
				at[t.Topic] = len(resp.Topics)
				told := kmsg.NewAlterReplicaLogDirsResponseTopic()
				told.Topic = t.Topic
				resp.Topics = append(resp.Topics, told)
			}
			of := &resp.Topics[at[t.Topic]]
			for _, p := range t.Partitions {
				err := error(kerr.ClusterAuthorizationFailed)
				if allowed {
					err = h.relocate(protocol.TopicPartition{Topic: t.Topic, Partition: p}, d.Dir)
				}
				told := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				told.Partition, told.ErrorCode = p, errorCode(err)
				of.Partitions = append(of.Partitions, told)
			}
		}
	}
	r.ReplyMsg(resp)
}

// relocate begins to move a log, and tells the operator why where it is refused: the
// answer has room for a code alone.
func (h *Handler) relocate(tp protocol.TopicPartition, path string) error {
	err := h.relocations.Relocate(tp, path)
	if err != nil {
		h.logger.Warn("a log is not moved to another folder", "partition", tp.String(), "to", path, "err", fmt.Sprint(err))
	}
	return err
}
