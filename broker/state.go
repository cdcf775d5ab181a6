package broker

import (
	"net"
	"strconv"
	"time"

	"github.com/klamm-io/klamm/broker/metrics"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/coordinator/group"
	"github.com/klamm-io/klamm/protocol"
)

// state answers what a scrape of the metrics asks.
type state struct{ broker *Broker }

// Broker is the state of the whole node.
func (s *state) Broker() metrics.Broker {
	b := s.broker
	told := metrics.Broker{ID: b.config.NodeID, OfflinePartitions: b.partitions.Offline(), LogDirs: map[string]bool{}}
	for _, f := range b.folders {
		told.LogDirs[f.path] = f.dir != nil
	}
	if e := b.config.AdvertisedListeners; len(e) > 0 {
		told.Address = net.JoinHostPort(e[0].Host, strconv.Itoa(int(b.port(e[0]))))
	}
	if b.view != nil {
		img := b.view.Image()
		told.QuorumLeader, told.QuorumEpoch = b.view.Leader()
		told.Topics, told.ActiveController = img.NumTopics(), img.ControllerID == b.config.NodeID
	}
	if b.groups != nil {
		told.Groups = map[metrics.GroupKind]int{}
		for kind, n := range b.groups.States() {
			told.Groups[metrics.GroupKind(kind)] = n
		}
	}
	if b.txns != nil {
		told.Transactions, told.Undelivered = b.txns.States()
	}
	late := time.Now().Add(-b.config.TransactionMaxTimeout - lateAfter)
	for p := range b.partitions.All() {
		producers, hangs := p.Log().CountProducers(late)
		told.ProducerIDs += producers
		if hangs {
			told.LateTransactions++
		}
	}
	return told
}

// lateAfter is how long after the longest time-out a transaction that is still open
// counts as late: its abort may be under way.
const lateAfter = 5 * time.Minute

// Partitions are those that this node leads.
func (s *state) Partitions() []metrics.Partition {
	b := s.broker
	if b.view == nil {
		return nil
	}
	img := b.view.Image()
	var all []metrics.Partition
	for p := range b.partitions.All() {
		t, found := img.Topic(p.Topic)
		if !found || int(p.TopicPartition.Partition) >= len(t.Partitions) {
			continue
		}
		m := &t.Partitions[p.TopicPartition.Partition]
		told := metrics.Partition{
			Topic: p.Topic, Partition: p.TopicPartition.Partition, LogStart: p.Log().Start(), Stable: p.Log().LastStable(p.HighWatermark()), End: p.HighWatermark(), LogEnd: p.Log().End(),
			Size: p.Log().Size(), Segments: p.Log().Segments(), Leader: m.Leader, Preferred: m.Replicas[0],
			Replicas: len(m.Replicas), InSync: len(m.ISR), MinInSync: 1,
		}
		if c, err := b.topicSettings(img, p.Topic); err == nil {
			told.MinInSync = min(c.MinInsyncReplicas, len(m.Replicas))
		}
		all = append(all, told)
	}
	return all
}

// Cleaner is what compaction did and does.
func (s *state) Cleaner() metrics.Cleaner {
	if s.broker.cleaner == nil {
		return metrics.Cleaner{}
	}
	now := time.Now()
	c := s.broker.cleaner.State(now)
	told := metrics.Cleaner{
		SinceLook: now.Sub(c.LastLook), DirtyRatio: c.DirtiestRatio, Overdue: c.Overdue, Passes: c.Passes, Failures: c.Failures,
		BytesRead: c.Counts.BytesRead, BytesKept: c.Counts.BytesWritten, RecordsRead: c.Counts.RecordsRead, RecordsKept: c.Counts.RecordsKept,
	}
	for _, last := range c.Last {
		told.LastTook, told.LastKeys, told.LastRecopy = max(told.LastTook, last.Took), max(told.LastKeys, last.KeysUsed), max(told.LastRecopy, last.RecopyRatio)
	}
	for _, f := range c.Folders {
		told.Folders = append(told.Folders, metrics.CleanerFolder(f))
	}
	for _, l := range c.Logs {
		m := metrics.CleanerLog{Topic: l.Topic, Partition: l.Partition, FirstDirty: l.FirstDirty, DirtyBytes: l.DirtyBytes, Progress: -1}
		if l.Running {
			m.Progress = l.Progress
		}
		told.Logs = append(told.Logs, m)
	}
	return told
}

// Groups are what the groups committed.
func (s *state) Groups() []metrics.Group {
	if s.broker.groups == nil {
		return nil
	}
	var all []metrics.Group
	for _, c := range s.broker.groups.Committed() {
		all = append(all, groupState(s.broker.partitions, c))
	}
	return all
}

func groupState(partitions *replica.Set, c group.Committed) metrics.Group {
	told := metrics.Group{Name: c.Group, Members: c.Members}
	for tp, offset := range c.Offsets {
		told.Offsets = append(told.Offsets, metrics.GroupOffset{Topic: tp.Topic, Partition: tp.Partition, Offset: offset, Lag: lag(partitions, tp, offset)})
	}
	return told
}

// lag is how many records a group has yet to read; -1 where the partition is not
// known.
func lag(partitions *replica.Set, tp protocol.TopicPartition, offset int64) int64 {
	p, err := partitions.Get(tp.Topic, tp.Partition)
	if err != nil {
		return -1
	}
	return max(0, p.HighWatermark()-offset)
}
