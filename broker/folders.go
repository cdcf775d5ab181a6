package broker

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/errgroup"

	"github.com/klamm-io/klamm/broker/api"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/format"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// offsetsTopic is where consumer groups are kept, txnTopic where transactions are.
const (
	offsetsTopic = metadata.ConsumerOffsets
	txnTopic     = metadata.TransactionState
)

// folder is one of log.dirs, or metadata.log.dir where that is another.
type folder struct {
	path         string
	dir          *log.Dir // nil where it could not be opened
	failed       error    // why not
	metadataOnly bool     // it is not one of log.dirs

	cordoned atomic.Bool // it gets no new partitions

	mu         sync.Mutex
	partitions map[protocol.TopicPartition]bool // guarded by mu: those that lie here
}

// openFolders opens every folder of log.dirs, and that of the metadata, which must be
// there; the partitions of another that fails are offline.
func (b *Broker) openFolders(fs disk.FS) error {
	if err := format.Check(fs, b.config); err != nil {
		return err
	}
	for _, path := range b.config.LogDirs {
		if err := b.openFolder(fs, &folder{path: path}); err != nil {
			return err
		}
	}
	if b.metadataFolder() == nil {
		if err := b.openFolder(fs, &folder{path: b.config.MetadataLogDir, metadataOnly: true}); err != nil {
			return err
		}
	}
	if err := b.putAsideTwice(); err != nil {
		return err
	}
	return b.formatFolders()
}

// putAsideTwice leaves each partition in one folder: a stop may come when a log that
// moves is whole in both.
func (b *Broker) putAsideTwice() error {
	if len(b.folders) < 2 {
		return nil
	}
	first := map[protocol.TopicPartition]*folder{}
	for _, f := range b.folders {
		for tp := range f.partitions {
			other := first[tp]
			if other == nil {
				first[tp] = f
				continue
			}
			aside, err := f.dir.PutAside(tp)
			if err != nil {
				return err
			}
			b.logger.Warn("a partition lies in two folders; putting one aside", "partition", tp.String(), "stays", other.path, "path", aside)
			delete(f.partitions, tp)
		}
	}
	return nil
}

// metadataFolder is the folder that holds the cluster's metadata.
func (b *Broker) metadataFolder() *folder {
	for _, f := range b.folders {
		if filepath.Clean(f.path) == filepath.Clean(b.config.MetadataLogDir) {
			return f
		}
	}
	return nil
}

// openFolder takes hold of a folder and adds it to those of the broker.
func (b *Broker) openFolder(fs disk.FS, f *folder) error {
	c := b.config
	f.partitions = map[protocol.TopicPartition]bool{}
	f.dir, f.failed = log.OpenDir(f.path, log.DirConfig{
		NodeID: c.NodeID, CheckpointInterval: c.CheckpointInterval, RetentionInterval: c.RetentionCheckInterval,
		ProducerExpiry: c.ProducerIDExpiration, Flushes: concurrentFlushes,
		ScrubBytesPerSecond: c.ScrubBytesPerSecond, ScrubInterval: c.ScrubInterval,
	}, log.Deps{FS: fs, Logger: b.logger, Observe: b.metrics})
	b.folders = append(b.folders, f)
	if f.failed != nil {
		if f == b.metadataFolder() || errors.Is(f.failed, disk.ErrLocked) {
			return f.failed
		}
		b.logger.Error("a folder of log.dirs cannot be used; its partitions are offline", "path", f.path, "err", f.failed)
		return nil
	}
	if err := f.list(); err != nil {
		return err
	}
	if !f.dir.Clean() && len(f.partitions) > 0 {
		b.logger.Warn("the folder was not closed in order; what may be torn is verified", "path", f.path)
	}
	return nil
}

// concurrentFlushes bounds the logs of a folder that are flushed at the same
// time: enough to keep a disk busy.
const concurrentFlushes = 16

func (f *folder) list() error {
	found, err := f.dir.Folders()
	if err != nil {
		return err
	}
	for _, tp := range found {
		f.partitions[tp] = true
	}
	return nil
}

// formatFolders makes new folders those of the cluster that the others belong
// to, or of a new one.
func (b *Broker) formatFolders() error {
	clusterID := ""
	for _, f := range b.folders {
		if f.dir != nil && clusterID == "" {
			clusterID = f.dir.ClusterID()
		}
	}
	if clusterID == "" {
		clusterID = protocol.NewTopicID().String()
		b.logger.Info("formatting empty folders for a new cluster", "cluster_id", clusterID, "log.dirs", b.config.LogDirs)
	}
	for _, f := range b.folders {
		if f.dir == nil {
			continue
		}
		if err := f.dir.Format(clusterID); err != nil {
			return err
		}
	}
	return nil
}

// clusterID is the cluster that the folders belong to.
func (b *Broker) clusterID() string { return b.metadataFolder().dir.ClusterID() }

// logDirIDs are the ids of the folders of log.dirs that can be used.
func (b *Broker) logDirIDs() [][16]byte {
	var ids [][16]byte
	for _, f := range b.folders {
		if f.dir != nil && !f.metadataOnly {
			ids = append(ids, f.dir.ID())
		}
	}
	return ids
}

// cleanBrokerEpoch is the broker epoch with which all folders were closed in order,
// -1 where one was not.
func (b *Broker) cleanBrokerEpoch() int64 {
	epoch := int64(-1)
	for i, f := range b.folders {
		if f.dir == nil || i > 0 && f.dir.CleanBrokerEpoch() != epoch {
			return -1
		}
		epoch = f.dir.CleanBrokerEpoch()
	}
	return epoch
}

// holdPartitions reports whether any folder has partitions of topics.
func (b *Broker) holdPartitions() bool {
	for _, f := range b.folders {
		for tp := range f.partitions {
			if tp.Topic != metadataTopic {
				return true
			}
		}
	}
	return false
}

// cleanerConfig is how logs are compacted.
func (b *Broker) cleanerConfig(img *metadata.Image) log.CleanerConfig {
	return log.CleanerConfig(b.config.Cleaner(img.BrokerConfig(b.config.NodeID)))
}

// newCleaner makes the one that compacts the logs of all folders.
func (b *Broker) newCleaner() *log.Cleaner {
	var dirs []*log.Dir
	for _, f := range b.folders {
		if f.dir != nil {
			dirs = append(dirs, f.dir)
		}
	}
	return log.NewCleaner(b.cleanerConfig(b.view.Image()), dirs, b.logger)
}

func (b *Broker) logDirs() []api.LogDir {
	var dirs []api.LogDir
	for _, f := range b.folders {
		if !f.metadataOnly {
			dirs = append(dirs, api.LogDir{Path: f.path, Dir: f.dir, Cordoned: f.cordoned.Load})
		}
	}
	return dirs
}

// folderOf returns the folder in which the partition lies. One that lies nowhere
// was created just before the broker ended, and gets a folder now; but while a
// folder cannot be looked into it may lie there, and must not begin anew elsewhere.
func (b *Broker) folderOf(tp protocol.TopicPartition) (*folder, error) {
	for _, f := range b.folders {
		if f.has(tp) {
			return f, nil
		}
	}
	for _, f := range b.folders {
		if f.dir == nil {
			return nil, fmt.Errorf("it may lie in %s, which cannot be used: %w", f.path, f.failed)
		}
	}
	if f := b.relocated.take(tp); f != nil {
		return f, nil
	}
	return b.emptiest(), nil
}

func (f *folder) has(tp protocol.TopicPartition) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.partitions[tp]
}

func (f *folder) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.partitions)
}

// emptiest returns the folder of log.dirs that has the fewest partitions: a new one
// goes there, but to a cordoned folder only where all are. All of them can be used, or
// the first holds the metadata and can.
func (b *Broker) emptiest() *folder {
	emptiest, least := b.folders[0], b.folders[0].count()
	for _, f := range b.folders[1:] {
		if f.dir == nil || f.metadataOnly {
			continue
		}
		n, better := f.count(), emptiest.cordoned.Load() && !f.cordoned.Load()
		if worse := !emptiest.cordoned.Load() && f.cordoned.Load(); better || !worse && n < least {
			emptiest, least = f, n
		}
	}
	return emptiest
}

// cordon notes which folders get no new partitions.
func (b *Broker) cordon(img *metadata.Image) {
	cordoned := b.config.Cordoned(img.BrokerConfig(b.config.NodeID))
	for _, f := range b.folders {
		f.cordoned.Store(slices.Contains(cordoned, f.path))
	}
}

// cordonedDirs are the ids of the folders of log.dirs that get no new partitions.
func (b *Broker) cordonedDirs() [][16]byte {
	ids := [][16]byte{}
	for _, f := range b.folders {
		if f.dir != nil && !f.metadataOnly && f.cordoned.Load() {
			ids = append(ids, f.dir.ID())
		}
	}
	return ids
}

// recoveryThreads is how many logs are opened at the same time.
func (b *Broker) recoveryThreads() int {
	return max(b.config.RecoveryThreadsPerDataDir*len(b.folders), 2*runtime.GOMAXPROCS(0))
}

// openLogs opens the logs of all partitions that the metadata knows.
func (b *Broker) openLogs() error {
	img := b.view.Image()
	known := map[protocol.TopicPartition]bool{}
	var g errgroup.Group
	g.SetLimit(b.recoveryThreads())
	for t := range img.Topics() {
		for i := range t.Partitions {
			tp := protocol.TopicPartition{Topic: t.Name, Partition: int32(i)}
			known[tp] = true
			f, err := b.folderOf(tp)
			if err != nil {
				b.offline(tp, t.ID, err)
				continue
			}
			g.Go(func() error {
				b.openPartition(f, img, t, tp)
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	b.leadTxns()
	b.reportStrays(known)
	return nil
}

// discard deletes what lies here of replicas that the metadata says are gone, unless
// it is known by that name again.
func (b *Broker) discard(known map[protocol.TopicPartition]bool, gone map[protocol.TopicPartition]protocol.TopicID) {
	for tp, id := range gone {
		for _, f := range b.folders {
			if known[tp] || f.dir == nil || !f.has(tp) {
				continue
			}
			if err := f.dir.Discard(tp, id); err != nil {
				b.logger.Warn("what is left of a deleted partition stays", "partition", tp.String(), "err", err)
				continue
			}
			b.logger.Info("deleted a partition that was deleted while this node was down", "path", f.path, "partition", tp.String())
			b.forgetFolder(tp)
		}
	}
}

// reportStrays names folders of partitions that the metadata does not know: they
// are left alone.
func (b *Broker) reportStrays(known map[protocol.TopicPartition]bool) {
	for _, f := range b.folders {
		for tp := range f.partitions {
			if !known[tp] && tp.Topic != metadataTopic {
				b.logger.Warn("a folder belongs to no topic; it is left alone", "path", f.path, "partition", tp.String())
			}
		}
	}
}

// metadataTopic is the log of the cluster's metadata, which is no topic for
// clients.
const metadataTopic = "__cluster_metadata"

// newPartition makes a partition's log in the folder that has the fewest.
func (b *Broker) newPartition(img *metadata.Image, t *metadata.Topic, index int32) {
	b.openPartition(b.emptiest(), img, t, protocol.TopicPartition{Topic: t.Name, Partition: index})
}

// openPartition opens the log in f of a partition that this broker has the only
// replica of, and lets it be served. A log that cannot be opened makes that partition
// offline, not the broker.
func (b *Broker) openPartition(f *folder, img *metadata.Image, t *metadata.Topic, tp protocol.TopicPartition) {
	l := b.hold(f, img, t, tp)
	if l == nil {
		return
	}
	p := b.partitions.Add(tp, t.ID, t.Partitions[tp.Partition].LeaderEpoch, l)
	if t.Name == offsetsTopic {
		b.leadGroups(p)()
	}
}

// takeUp returns the replica of a partition, and opens its log where that is new
// here; nil where it cannot be opened.
func (b *Broker) takeUp(img *metadata.Image, t *metadata.Topic, tp protocol.TopicPartition) *replica.Partition {
	p, err := b.partitions.Get(tp.Topic, tp.Partition)
	if err == nil {
		return p
	}
	if errors.Is(err, kerr.KafkaStorageError) {
		return nil
	}
	f, err := b.folderOf(tp)
	if err != nil {
		b.offline(tp, t.ID, err)
		return nil
	}
	if l := b.hold(f, img, t, tp); l != nil {
		return b.partitions.AddReplica(tp, t.ID, l)
	}
	return nil
}

// hold opens a partition's log in f. Where it cannot be opened it returns nil, and the
// partition is offline.
func (b *Broker) hold(f *folder, img *metadata.Image, t *metadata.Topic, tp protocol.TopicPartition) *log.Log {
	l, err := b.openLog(f, img, t, tp)
	if err != nil {
		b.offline(tp, t.ID, err)
		return nil
	}
	f.mu.Lock()
	f.partitions[tp] = true
	f.mu.Unlock()
	return l
}

// leadGroups takes over the groups of a partition that this broker leads. They are
// served once load has read them.
func (b *Broker) leadGroups(p *replica.Partition) (load func()) {
	read := b.groups.Lead(p.Partition, p.LeaderEpoch(), coordinatorLog{partition: p, leaderEpoch: p.LeaderEpoch()})
	return func() {
		if err := read(); err != nil {
			b.logger.Error("groups are not served; restore the partition's folder from a backup, or stop the broker and move it away: its groups begin anew then",
				"partition", p.String(), "err", err)
		}
	}
}

// leadTxns takes over the transactions whose partitions are open. It is called
// when all others are: decisions that were made before are carried out then, in
// any partition.
func (b *Broker) leadTxns() {
	for _, p := range b.partitions.Topic(txnTopic) {
		b.leadTxnPartition(p)()
	}
}

// leadTxnPartition takes over the transactions of a partition that this broker leads.
// They are served once load has read them.
func (b *Broker) leadTxnPartition(p *replica.Partition) (load func()) {
	read := b.txns.Lead(p.Partition, p.LeaderEpoch(), coordinatorLog{partition: p, leaderEpoch: p.LeaderEpoch()})
	return func() {
		if err := read(); err != nil {
			b.logger.Error("transactions are not served; restore the partition's folder from a backup, or stop the broker and move it away: its transactional ids begin anew then",
				"partition", p.String(), "err", err)
		}
	}
}

func (b *Broker) offline(tp protocol.TopicPartition, id protocol.TopicID, why error) {
	b.logger.Error("a partition is offline", "partition", tp.String(), "err", why)
	b.partitions.AddOffline(tp, id, why)
	if b.node != nil {
		b.node.lost.lost(replicaID{id, tp.Partition})
	}
}

func (b *Broker) openLog(f *folder, img *metadata.Image, t *metadata.Topic, tp protocol.TopicPartition) (*log.Log, error) {
	c, err := b.topicConfig(img, t.Name)
	if err != nil {
		return nil, err
	}
	return f.dir.Open(tp, t.ID, c)
}

// topicConfig is how a topic's logs behave.
func (b *Broker) topicConfig(img *metadata.Image, topic string) (log.Config, error) {
	t, err := b.topicSettings(img, topic)
	if err != nil {
		return log.Config{}, fmt.Errorf("configuration of topic %s: %w", topic, err)
	}
	return logConfig(t), nil
}

// topicSettings is how a topic is set at this broker.
func (b *Broker) topicSettings(img *metadata.Image, topic string) (*config.Topic, error) {
	return b.config.Topic(img.BrokerConfig(b.config.NodeID), img.Config(metadata.TopicResource(topic)))
}

func logConfig(t *config.Topic) log.Config {
	c := log.Config{
		SegmentBytes: t.SegmentBytes, SegmentAge: t.SegmentAge, SegmentJitter: t.SegmentJitter,
		SegmentIndexBytes: t.SegmentIndexBytes, IndexIntervalBytes: t.IndexIntervalBytes,
		Delete: t.Delete, Compact: t.Compact, RetentionMs: t.RetentionMs, RetentionBytes: t.RetentionBytes,
		DeleteRetention: t.DeleteRetention, MinCompactionLag: t.MinCompactionLag, MaxCompactionLag: t.MaxCompactionLag,
		MinDirtyRatio: t.MinCleanableDirtyRatio, FileDeleteDelay: t.FileDeleteDelay, MaxMessageBytes: t.MaxMessageBytes,
		Compression: t.Codec, CompressionLevel: t.CompressionLevel, LogAppendTime: t.LogAppendTime,
		TimestampBeforeMaxMs: t.TimestampBeforeMaxMs, TimestampAfterMaxMs: t.TimestampAfterMaxMs,
		FlushOnAck: t.FlushOnAck, FlushMessages: t.FlushMessages, FlushInterval: t.FlushInterval,
	}
	if t.KeepCodec {
		c.Compression = log.ProducerCompression
	}
	return c
}
