package broker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// lostReplicas tells the active controller which replicas of this broker its disks
// have lost, so that it leads none of them and counts for none (KIP-858). Each is told
// once: the controller keeps it until the broker starts anew.
type lostReplicas struct {
	wake chan struct{} // has room for one word that there is something to tell

	mu sync.Mutex
	// Guarded by mu.
	untold map[protocol.TopicID][]int32
}

func newLostReplicas() *lostReplicas {
	return &lostReplicas{wake: make(chan struct{}, 1), untold: map[protocol.TopicID][]int32{}}
}

// add notes that the log of a replica works no more.
func (l *lostReplicas) add(topic protocol.TopicID, partition int32) {
	l.mu.Lock()
	l.untold[topic] = append(l.untold[topic], partition)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take returns what is to be told.
func (l *lostReplicas) take() map[protocol.TopicID][]int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	untold := l.untold
	l.untold = map[protocol.TopicID][]int32{}
	return untold
}

// lostPause is how long to wait before the controller is told again, after it could
// not be.
const lostPause = 200 * time.Millisecond

// tellLost tells of lost replicas until ctx ends.
func (n *clusterNode) tellLost(ctx context.Context) error {
	for {
		select {
		case <-n.lost.wake:
		case <-ctx.Done():
			return nil
		}
		untold := n.lost.take()
		err := n.tellLostOnce(ctx, untold)
		if err == nil || ctx.Err() != nil {
			continue
		}
		n.broker.logger.Warn("the active controller could not be told of partitions that are offline here; it is tried again", "err", err)
		for topic, partitions := range untold {
			for _, p := range partitions {
				n.lost.add(topic, p)
			}
		}
		select {
		case <-time.After(lostPause):
		case <-ctx.Done():
		}
	}
}

// lostDir is the id by which a broker says that a replica lies nowhere.
var lostDir = [16]byte{15: 1}

func (n *clusterNode) tellLostOnce(ctx context.Context, lost map[protocol.TopicID][]int32) error {
	req := kmsg.NewPtrAssignReplicasToDirsRequest()
	req.BrokerID, req.BrokerEpoch = n.me(), n.control.BrokerEpoch()
	dir := kmsg.NewAssignReplicasToDirsRequestDirectory()
	dir.ID = lostDir
	for id, partitions := range lost {
		topic := kmsg.NewAssignReplicasToDirsRequestDirectoryTopic()
		topic.TopicID = id
		for _, index := range partitions {
			p := kmsg.NewAssignReplicasToDirsRequestDirectoryTopicPartition()
			p.Partition = index
			topic.Partitions = append(topic.Partitions, p)
		}
		dir.Topics = append(dir.Topics, topic)
	}
	req.Directories = append(req.Directories, dir)
	answer, err := n.control.Ask(ctx, req)
	if err != nil {
		return err
	}
	resp, is := answer.(*kmsg.AssignReplicasToDirsResponse)
	if !is {
		return fmt.Errorf("the active controller answered with %T: %w", answer, kerr.UnknownServerError)
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}
