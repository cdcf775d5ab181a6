package log

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// Names of files in a folder of logs; Kafka's, but for the lock.
const (
	lockFile           = ".lock"
	cleanShutdownFile  = ".kafka_cleanshutdown"
	recoveryPointFile  = "recovery-point-offset-checkpoint"
	logStartFile       = "log-start-offset-checkpoint"
	compactedFile      = "cleaner-offset-checkpoint"
	metaPropertiesFile = "meta.properties"
)

// DirConfig is how a folder of logs behaves.
type DirConfig struct {
	NodeID              int32
	CheckpointInterval  time.Duration // log.flush.offset.checkpoint.interval.ms
	RetentionInterval   time.Duration // log.retention.check.interval.ms
	ProducerExpiry      time.Duration // producer.id.expiration.ms
	Flushes             int           // logs that may flush at the same time
	ScrubBytesPerSecond int64         // 0 turns the scrub off
	ScrubInterval       time.Duration // from the start of one pass over all logs to the next
}

// Observer hears of what monitors want to know. It is called from any goroutine
// and must not block.
type Observer interface {
	Flushed(took time.Duration)
	Damaged(tp protocol.TopicPartition)
}

// Deps is what a Dir uses.
type Deps struct {
	FS      disk.FS
	Logger  *slog.Logger
	Observe Observer
}

// Dir is a folder of logs, which belongs to this process alone while it is open.
// It is safe for concurrent use.
type Dir struct {
	path    string
	config  DirConfig
	fs      disk.FS
	logger  *slog.Logger
	observe Observer
	unlock  func() error
	clean   bool // the last process closed the folder in order

	cleanEpoch int64 // of the broker that closed it so, -1: not known

	flushes    chan struct{} // has room for as many as may flush at once
	checkpoint chan struct{} // has room for one demand for a checkpoint

	checkpointMu sync.Mutex // held while a checkpoint is made

	zeroedMu sync.Mutex // taken after a log's mu
	zeroed   []*Log     // guarded by zeroedMu: logs that have zeros ahead of their end

	mu sync.Mutex
	// Guarded by mu.
	meta           metaProperties
	brokerEpoch    int64 // of this process's registration, -1: none
	logs           map[protocol.TopicPartition]*Log
	recoveryPoints offsetCheckpoint                 // of logs that are not open yet
	outlived       map[protocol.TopicPartition]bool // logs that were deleted since the checkpoints were written
	starts         offsetCheckpoint                 // of logs that are not open yet
	compacted      offsetCheckpoint                 // up to where logs were compacted
	doomed         []doomed
	closing        bool
	flushers       sync.WaitGroup
}

// doomed is a file or folder that is deleted for good at a given time.
type doomed struct {
	path string
	at   time.Time
}

// OpenDir takes hold of the folder at path, which is made if it is not there.
// Where another process holds it, the error wraps disk.ErrLocked.
func OpenDir(path string, c DirConfig, deps Deps) (*Dir, error) {
	d := &Dir{
		path: path, config: c, fs: deps.FS, logger: deps.Logger, observe: deps.Observe,
		flushes:    make(chan struct{}, max(1, c.Flushes)),
		checkpoint: make(chan struct{}, 1), brokerEpoch: noBrokerEpoch,
		logs:     map[protocol.TopicPartition]*Log{},
		outlived: map[protocol.TopicPartition]bool{},
	}
	unlock, err := take(d.fs, path)
	if err != nil {
		return nil, err
	}
	d.unlock = unlock
	if err := d.load(); err != nil {
		return nil, errors.Join(err, unlock())
	}
	return d, nil
}

// take makes the folder at path if it is not there, and locks it.
func take(fsys disk.FS, path string) (unlock func() error, err error) {
	if err := makeFolder(fsys, path); err != nil {
		return nil, fmt.Errorf("make the folder %s: %w; name another with log.dirs, or let this user write there", path, err)
	}
	unlock, err = fsys.Lock(filepath.Join(path, lockFile))
	if errors.Is(err, disk.ErrLocked) {
		return nil, fmt.Errorf("the folder %s is in use by another broker: stop that one, or name another folder with log.dirs: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the folder %s: %w; name another with log.dirs, or let this user write there", path, err)
	}
	return unlock, nil
}

// makeFolder makes the folder, so that a stop later does not take it back.
func makeFolder(fsys disk.FS, path string) error {
	if _, err := fsys.Stat(path); err == nil {
		return nil
	}
	if err := fsys.Mkdir(path); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

// doomLeftovers lets the folders of deleted partitions go that a stop left.
func (d *Dir) doomLeftovers() error {
	entries, err := d.fs.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("list %s: %w", d.path, err)
	}
	for _, entry := range entries {
		if entry.IsDir() && isAway(entry.Name()) {
			d.doom(d.file(entry.Name()), time.Time{})
		}
	}
	return nil
}

// load reads the folder's own files.
func (d *Dir) load() (err error) {
	if d.meta, err = readMetaProperties(d.fs, d.file(metaPropertiesFile)); err != nil {
		return err
	}
	if d.meta.Formatted() && d.meta.NodeID != d.config.NodeID {
		return fmt.Errorf("the folder %s belongs to node %d, this is node %d: correct node.id, or name another folder with log.dirs",
			d.path, d.meta.NodeID, d.config.NodeID)
	}
	if d.recoveryPoints, err = readOffsetCheckpoint(d.fs, d.file(recoveryPointFile)); err != nil {
		d.logger.Warn("the recovery points cannot be read; every log is verified whole", "err", err)
		d.recoveryPoints = offsetCheckpoint{}
	}
	if d.starts, err = readOffsetCheckpoint(d.fs, d.file(logStartFile)); err != nil {
		d.logger.Warn("the log starts cannot be read; deleted records whose segments are still there come back", "err", err)
		d.starts = offsetCheckpoint{}
	}
	if d.compacted, err = readOffsetCheckpoint(d.fs, d.file(compactedFile)); err != nil {
		d.logger.Warn("up to where logs were compacted cannot be read; they are compacted from their start", "err", err)
		d.compacted = offsetCheckpoint{}
	}
	if err := d.doomLeftovers(); err != nil {
		return err
	}
	return d.takeCleanShutdown()
}

func (d *Dir) file(name string) string { return filepath.Join(d.path, name) }

// Path is the folder's path as it was given.
func (d *Dir) Path() string { return d.path }

// Clean reports whether the folder was closed in order before it was opened.
func (d *Dir) Clean() bool { return d.clean }

// ClusterID is the cluster that the folder belongs to, empty for a new folder.
func (d *Dir) ClusterID() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.meta.ClusterID
}

// ID is the folder's own id (KIP-858), zero for a new folder.
func (d *Dir) ID() protocol.TopicID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.meta.DirectoryID
}

// Format makes a new folder one of the given cluster.
func (d *Dir) Format(clusterID string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.meta.Formatted() {
		if d.meta.ClusterID != clusterID {
			return fmt.Errorf("the folder %s belongs to cluster %s, not to %s", d.path, d.meta.ClusterID, clusterID)
		}
		return nil
	}
	meta := metaProperties{Identity: Identity{ClusterID: clusterID, NodeID: d.config.NodeID, DirectoryID: protocol.NewTopicID()}}
	if err := writeMetaProperties(d.fs, d.file(metaPropertiesFile), meta); err != nil {
		return err
	}
	d.meta = meta
	return nil
}

// Open opens the log of tp, or makes an empty one. A folder of that name which
// belongs to another topic id is put aside.
func (d *Dir) Open(tp protocol.TopicPartition, id protocol.TopicID, c Config) (*Log, error) {
	d.mu.Lock()
	_, open := d.logs[tp]
	recoveryPoint, start := d.recoveryPoints[tp], d.starts[tp]
	d.mu.Unlock()
	if open {
		return nil, fmt.Errorf("open the log of %s: it is open already", tp)
	}
	l := &Log{TopicPartition: tp, TopicID: id, dir: d, path: d.file(tp.String()), logger: d.logger}
	l.config.Store(&c)
	fresh, err := d.prepare(l, recoveryPoint)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", tp, err)
	}
	if fresh {
		if recoveryPoint > 0 {
			d.logger.Warn("the folder of a partition that had records is not there; it begins empty", "partition", l.String(), "path", l.path, "durable", recoveryPoint)
		}
		recoveryPoint, start = 0, 0
		if err := d.forget(tp); err != nil {
			return nil, fmt.Errorf("open the log of %s: %w", tp, err)
		}
	}
	if err := l.load(d.clean || fresh, recoveryPoint, start, time.Now()); err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", tp, err)
	}
	d.mu.Lock()
	d.logs[tp] = l
	delete(d.recoveryPoints, tp)
	delete(d.starts, tp)
	d.mu.Unlock()
	if l.End() < recoveryPoint {
		// What is appended from the end on must not be taken for durable after a stop.
		if err := d.forgetBeyond(l); err != nil {
			return nil, fmt.Errorf("open the log of %s: %w", tp, err)
		}
	}
	return l, nil
}

// forgetBeyond writes the checkpoints anew for a log that ends before what they say.
func (d *Dir) forgetBeyond(l *Log) error {
	d.checkpointMu.Lock()
	defer d.checkpointMu.Unlock()
	if err := d.lowerCompacted(l, l.End()); err != nil {
		return err
	}
	return d.writeCheckpoints(d.Logs())
}

// forget sees to it that nothing on the disk speaks of an earlier log of the name
// tp: after a stop its recovery point would be believed of the new one.
func (d *Dir) forget(tp protocol.TopicPartition) error {
	d.checkpointMu.Lock()
	defer d.checkpointMu.Unlock()
	d.mu.Lock()
	_, known := d.recoveryPoints[tp]
	known = known || d.outlived[tp]
	delete(d.recoveryPoints, tp)
	delete(d.starts, tp)
	delete(d.compacted, tp)
	d.mu.Unlock()
	if !known {
		return nil
	}
	return d.writeCheckpoints(d.Logs())
}

// prepare makes the log's folder if it is not there.
func (d *Dir) prepare(l *Log, recoveryPoint int64) (fresh bool, err error) {
	metadata := l.file(partitionMetadataFile)
	if _, err := d.fs.Stat(l.path); err == nil {
		id, err := readPartitionMetadata(d.fs, metadata)
		if err == nil && id == l.TopicID {
			return false, nil
		}
		unwritten := errors.Is(err, errUnwritten) && recoveryPoint == 0
		if err != nil && !unwritten || err == nil && damagedForm(id, l.TopicID) {
			// It is not there, as where an old Kafka made the folder, or was damaged since.
			d.logger.Warn("a folder does not say to which topic it belongs; writing it anew", "partition", l.String(), "file", metadata, "topic_id", l.TopicID, "err", err)
			return false, writePartitionMetadata(d.fs, metadata, l.TopicID)
		}
		// What was never written may have been of the topic before, or of this one: nothing
		// in the folder was acknowledged.
		aside := d.file(awayName(l.TopicPartition, "stray"))
		d.logger.Warn("a folder is that of a topic that was deleted, or nothing in it was ever flushed; putting it aside",
			"partition", l.String(), "topic_id", id, "path", aside, "err", err)
		if err := d.fs.Rename(l.path, aside); err != nil {
			return false, err
		}
	}
	if err := d.fs.Mkdir(l.path); err != nil {
		return false, err
	}
	return true, beginPartitionMetadata(d.fs, metadata, l.TopicID)
}

// Logs returns the open logs, in no order.
func (d *Dir) Logs() []*Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*Log, 0, len(d.logs))
	for _, l := range d.logs {
		all = append(all, l)
	}
	return all
}

// Folders returns the partitions that have a folder here, open or not.
func (d *Dir) Folders() ([]protocol.TopicPartition, error) {
	return folders(d.fs, d.path)
}

func folders(fsys disk.FS, path string) ([]protocol.TopicPartition, error) {
	names, err := fsys.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", path, err)
	}
	var all []protocol.TopicPartition
	for _, entry := range names {
		if tp, ok := parseFolderName(entry.Name()); ok && entry.IsDir() {
			all = append(all, tp)
		}
	}
	return all, nil
}

// begin counts a flush that is about to start; the folder waits for it when it
// closes. It reports false when that has begun.
func (d *Dir) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return false
	}
	d.flushers.Add(1)
	return true
}

func (d *Dir) end() { d.flushers.Done() }

// Delete takes the log of tp out of use and deletes its files after its
// file.delete.delay.ms.
func (d *Dir) Delete(tp protocol.TopicPartition) error {
	d.mu.Lock()
	l := d.logs[tp]
	delete(d.logs, tp)
	delete(d.recoveryPoints, tp)
	delete(d.starts, tp)
	delete(d.compacted, tp)
	d.mu.Unlock()
	if l == nil {
		return fmt.Errorf("delete the log of %s: %w", tp, kerr.UnknownTopicOrPartition)
	}
	l.abandon()
	d.mu.Lock()
	d.outlived[tp] = true
	d.mu.Unlock()
	defer l.interruptCompaction()() // it must not write into the next folder of this name
	away := d.file(awayName(tp, "delete"))
	if err := d.fs.Rename(l.path, away); err != nil {
		return fmt.Errorf("delete the log of %s: %w", tp, err)
	}
	d.doom(away, time.Now().Add(l.Config().FileDeleteDelay))
	return nil
}

// Discard deletes the files of a partition whose log is not open, if they are those
// of the topic with that id.
func (d *Dir) Discard(tp protocol.TopicPartition, id protocol.TopicID) error {
	folder := d.file(tp.String())
	found, err := readPartitionMetadata(d.fs, filepath.Join(folder, partitionMetadataFile))
	if err == nil && found != id {
		err = fmt.Errorf("it belongs to the topic with id %s", found)
	}
	if err != nil {
		return fmt.Errorf("discard %s of topic id %s: %w", folder, id, err)
	}
	if err := d.forget(tp); err != nil {
		return err
	}
	away := d.file(awayName(tp, "delete"))
	if err := d.fs.Rename(folder, away); err != nil {
		return fmt.Errorf("discard %s: %w", folder, err)
	}
	d.doom(away, time.Now())
	return nil
}

// abandon takes the log out of use without a further flush. After it no
// checkpoint writes into the log's folder.
func (l *Log) abandon() {
	l.mu.Lock()
	l.closed.Store(true)
	l.snapshotMu.Lock() // a snapshot that is being written comes first
	l.deleted.Store(true)
	l.snapshotMu.Unlock()
	l.mu.Unlock()
	for _, s := range *l.segments.Load() {
		s.retire()
	}
}

func (d *Dir) doom(path string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doomed = append(d.doomed, doomed{path: path, at: at})
}

// removeDoomed deletes for good what is due.
func (d *Dir) removeDoomed(now time.Time) {
	d.mu.Lock()
	var due []string
	kept := d.doomed[:0]
	for _, it := range d.doomed {
		if it.at.After(now) {
			kept = append(kept, it)
		} else {
			due = append(due, it.path)
		}
	}
	d.doomed = kept
	d.mu.Unlock()
	for _, path := range due {
		if err := d.fs.RemoveAll(path); err != nil {
			d.logger.Warn("deleting a file failed; it is tried again after a restart", "path", path, "err", err)
		}
	}
}

// remove deletes a file that may be gone already.
func (d *Dir) remove(path string) error {
	if err := d.fs.RemoveAll(path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// Space returns the bytes that can still be written to the folder's disk, and
// those it has.
func (d *Dir) Space() (free, total uint64, err error) { return d.fs.Free(d.path) }

// compactedTo is the offset before which a log has nothing dirty, -1 where it was
// never compacted.
func (d *Dir) compactedTo(l *Log) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if offset, known := d.compacted[l.TopicPartition]; known {
		return offset
	}
	return -1
}

// lowerCompacted says that what lies at offset and above in a log is not
// compacted. The caller holds checkpointMu.
func (d *Dir) lowerCompacted(l *Log, offset int64) error {
	d.mu.Lock()
	before, known := d.compacted[l.TopicPartition]
	if known && before > offset {
		d.compacted[l.TopicPartition] = offset
	}
	all := maps.Clone(d.compacted)
	d.mu.Unlock()
	if !known || before <= offset {
		return nil
	}
	return writeOffsetCheckpoint(d.fs, d.file(compactedFile), all)
}

// storeCompacted writes down up to where a log was compacted.
func (d *Dir) storeCompacted(l *Log, offset int64) error {
	d.checkpointMu.Lock()
	defer d.checkpointMu.Unlock()
	d.mu.Lock()
	if d.logs[l.TopicPartition] == l {
		d.compacted[l.TopicPartition] = offset
	}
	all := maps.Clone(d.compacted)
	d.mu.Unlock()
	return writeOffsetCheckpoint(d.fs, d.file(compactedFile), all)
}
