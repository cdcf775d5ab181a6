package broker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

// lostReplicas tells the active controller which replicas of this broker its disks
// have lost or damaged, so that it leads none of them and counts for none (KIP-858),
// and which work again. Of what it was told the controller keeps the last until the
// broker starts anew.
type lostReplicas struct {
	wake chan struct{} // has room for one word that there is something to tell

	mu sync.Mutex
	// Guarded by mu.
	untold map[replicaID]dirID
	asked  map[replicaID]asked // what was last told of damaged ones
}

type asked struct {
	dir  dirID
	when time.Time
}

// replicaID is a replica of this broker.
type replicaID struct {
	topic     protocol.TopicID
	partition int32
}

// dirID is a folder's, or says that a replica lies in none that works.
type dirID = [16]byte

// lostDir is the id by which a broker says that a replica lies nowhere.
var lostDir = dirID{15: 1}

func newLostReplicas() *lostReplicas {
	return &lostReplicas{wake: make(chan struct{}, 1), untold: map[replicaID]dirID{}, asked: map[replicaID]asked{}}
}

// lost notes that the log of a replica works no more.
func (l *lostReplicas) lost(id replicaID) {
	l.mu.Lock()
	l.untold[id] = lostDir
	l.mu.Unlock()
	l.signal()
}

// ails notes what is to be told of a replica that is damaged, or was; the same not
// again before there was time for an answer. It reports whether that is news.
func (l *lostReplicas) ails(id replicaID, dir dirID, now time.Time) (fresh bool) {
	l.mu.Lock()
	last := l.asked[id]
	if last.dir == dir && now.Sub(last.when) < askAgain || l.untold[id] == lostDir {
		l.mu.Unlock()
		return false
	}
	l.asked[id], l.untold[id] = asked{dir: dir, when: now}, dir
	l.mu.Unlock()
	l.signal()
	return last.dir != dir
}

// askAgain is how long to wait for what the controller decides of a damaged replica.
const askAgain = time.Second

// sound forgets that a replica was damaged.
func (l *lostReplicas) sound(id replicaID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.asked, id)
}

func (l *lostReplicas) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take returns what is to be told.
func (l *lostReplicas) take() map[replicaID]dirID {
	l.mu.Lock()
	defer l.mu.Unlock()
	untold := l.untold
	l.untold = map[replicaID]dirID{}
	return untold
}

// putBack notes what could not be told, but for what is known better since.
func (l *lostReplicas) putBack(untold map[replicaID]dirID) {
	l.mu.Lock()
	for id, dir := range untold {
		if _, newer := l.untold[id]; !newer {
			l.untold[id] = dir
		}
	}
	l.mu.Unlock()
	l.signal()
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
		n.lost.putBack(untold)
		select {
		case <-time.After(lostPause):
		case <-ctx.Done():
		}
	}
}

func (n *clusterNode) tellLostOnce(ctx context.Context, lost map[replicaID]dirID) error {
	if len(lost) == 0 {
		return nil
	}
	req := kmsg.NewPtrAssignReplicasToDirsRequest()
	req.BrokerID, req.BrokerEpoch = n.me(), n.control.BrokerEpoch()
	req.Directories = directories(lost)
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

// directories says by folder which replicas lie there.
func directories(lost map[replicaID]dirID) (all []kmsg.AssignReplicasToDirsRequestDirectory) {
	byDir := map[dirID]map[protocol.TopicID][]kmsg.AssignReplicasToDirsRequestDirectoryTopicPartition{}
	for id, dir := range lost {
		if byDir[dir] == nil {
			byDir[dir] = map[protocol.TopicID][]kmsg.AssignReplicasToDirsRequestDirectoryTopicPartition{}
		}
		p := kmsg.NewAssignReplicasToDirsRequestDirectoryTopicPartition()
		p.Partition = id.partition
		byDir[dir][id.topic] = append(byDir[dir][id.topic], p)
	}
	for id, topics := range byDir {
		dir := kmsg.NewAssignReplicasToDirsRequestDirectory()
		dir.ID = id
		for id, partitions := range topics {
			topic := kmsg.NewAssignReplicasToDirsRequestDirectoryTopic()
			topic.TopicID, topic.Partitions = id, partitions
			dir.Topics = append(dir.Topics, topic)
		}
		all = append(all, dir)
	}
	return all
}

// roomAgain are so many bytes free that a disk counts as full no more, though nothing
// was written to it since; a twentieth of it where that is less.
const roomAgain = 64 << 20

// heal hears of a replica that is damaged, or was, or whose disk is full, and sees to
// its next step towards a sound log; see [replica.Repair].
func (n *clusterNode) heal(p *replica.Partition) {
	img := n.broker.view.Image()
	t, found := img.TopicByID(p.TopicID)
	if !found || int(p.Partition) >= len(t.Partitions) {
		return
	}
	id := replicaID{topic: p.TopicID, partition: p.Partition}
	switch p.Repair(assignmentOf(&t.Partitions[p.Partition], n.needsInSync(img, t)), n.me()) {
	case replica.Leave:
		if n.lost.ails(id, controller.DamagedDir, time.Now()) {
			n.broker.logger.Warn("a replica is damaged; it leaves the ISR, to be copied anew from another broker", "partition", p.String())
		}
	case replica.Return:
		if n.lost.ails(id, p.Log().Dir().ID(), time.Now()) {
			n.broker.logger.Info("a replica works again, and may come in sync", "partition", p.String(), "offset", p.Log().End())
		}
	case replica.Yield:
		if n.lost.ails(id, controller.FullDir, time.Now()) {
			n.broker.logger.Warn("a replica's disk is full; it leaves the ISR, and the lead, until there is room", "partition", p.String(), "path", p.Log().Dir().Path())
		}
	case replica.Crowded:
		if free, total, err := p.Log().Dir().Space(); err == nil && free >= min(roomAgain, total/20) {
			p.Log().Forgive()
		}
	case replica.Sound:
		n.lost.sound(id)
	case replica.Hopeless, replica.Copying:
	}
}

// needsInSync is a topic's min.insync.replicas, 1 where its configuration cannot be
// read.
func (n *clusterNode) needsInSync(img *metadata.Image, t *metadata.Topic) int {
	c, err := n.broker.topicSettings(img, t.Name)
	if err != nil {
		return 1
	}
	return c.MinInsyncReplicas
}
