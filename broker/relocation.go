package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/broker/api"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/log"
)

// relocations move logs from one folder of log.dirs to another (KIP-113), one after the
// other. While a log is copied its partition is served as ever; only when little is left
// does the partition go away for a moment, in which clients look for it again. A stop of
// the broker takes back what is under way.
type relocations struct {
	broker *Broker
	wake   chan struct{} // has room for one word that there is something to move
	pace   bucket        // of what is copied

	mu sync.Mutex
	// Guarded by mu.
	wanted map[protocol.TopicPartition]*folder // where those are to lie that are not here yet
	moves  []*relocation                       // the first is under way, the others wait
}

// relocation is one log on its way.
type relocation struct {
	partition *replica.Partition
	to        *folder
	taken     context.Context // until it is taken back
	takeBack  context.CancelFunc

	annex *log.Dir
	copy  *log.Log // guarded by the relocations' mu: nil before it is begun
}

func newRelocations(b *Broker) *relocations {
	return &relocations{broker: b, wake: make(chan struct{}, 1), wanted: map[protocol.TopicPartition]*folder{}}
}

// Relocate begins to move a log to the folder of log.dirs with the given path. To where
// it is, takes back a move that is under way. A partition that has no replica here yet is
// REPLICA_NOT_AVAILABLE, and will lie there if it gets one.
func (r *relocations) Relocate(tp protocol.TopicPartition, path string) error {
	f := r.folder(path)
	switch {
	case f == nil:
		return fmt.Errorf("Log dir %s is not found in the config.: %w", path, kerr.LogDirNotFound)
	case f.dir == nil:
		return fmt.Errorf("Log dir %s is offline: %w", path, kerr.KafkaStorageError)
	}
	p, err := r.broker.partitions.Get(tp.Topic, tp.Partition)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return r.expect(tp, f)
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.wanted, tp)
	at := slices.IndexFunc(r.moves, func(m *relocation) bool { return m.partition == p })
	if at >= 0 && r.moves[at].to == f {
		return nil
	}
	if at >= 0 {
		r.moves[at].takeBack()
		r.moves = slices.Delete(r.moves, at, at+1)
	}
	if p.Log().Dir() == f.dir {
		return nil
	}
	m := &relocation{partition: p, to: f}
	m.taken, m.takeBack = context.WithCancel(context.Background())
	r.moves = append(r.moves, m)
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return nil
}

// expect notes where a partition is to lie that may get a replica here.
func (r *relocations) expect(tp protocol.TopicPartition, f *folder) error {
	if t, known := r.broker.view.Image().Topic(tp.Topic); !known || int(tp.Partition) >= len(t.Partitions) || tp.Partition < 0 {
		return kerr.UnknownTopicOrPartition
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted[tp] = f
	return fmt.Errorf("this broker has no replica of %s: %w", tp, kerr.ReplicaNotAvailable)
}

// take returns the folder in which a new partition is to lie, nil for any.
func (r *relocations) take(tp protocol.TopicPartition) *folder {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.wanted[tp]
	delete(r.wanted, tp)
	return f
}

func (r *relocations) folder(path string) *folder {
	for _, f := range r.broker.folders {
		if !f.metadataOnly && filepath.Clean(f.path) == filepath.Clean(path) {
			return f
		}
	}
	return nil
}

// Relocating returns the logs that are on their way to a folder.
func (r *relocations) Relocating(to *log.Dir) (all []api.Relocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.moves {
		if m.to.dir != to {
			continue
		}
		told := api.Relocation{TopicPartition: m.partition.TopicPartition, Lag: m.partition.Log().End() - m.partition.Log().Start()}
		if m.copy != nil {
			told.Size, told.Lag = m.copy.Size(), max(0, m.partition.Log().End()-m.copy.End())
		}
		all = append(all, told)
	}
	return all
}

// run moves logs until ctx ends.
func (r *relocations) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		}
		for m := r.next(); m != nil && ctx.Err() == nil; m = r.next() {
			r.move(ctx, m)
		}
	}
}

func (r *relocations) next() *relocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.moves) == 0 {
		return nil
	}
	return r.moves[0]
}

// What ends an attempt to move a log.
var (
	errOvertaken = errors.New("the log was cut off below what was copied")
	errGone      = errors.New("the partition is not served here any more")
	errUnsettled = errors.New("the partition's ISR is being changed")
)

// move moves one log, beginning anew where the log was cut off meanwhile. What fails is
// given up: the log stays where it is.
func (r *relocations) move(ctx context.Context, m *relocation) {
	logger := r.broker.logger.With("partition", m.partition.String(), "from", m.partition.Log().Dir().Path(), "to", m.to.path)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.taken, cancel)()
	err := r.attempt(ctx, m)
	for errors.Is(err, errOvertaken) && ctx.Err() == nil {
		err = r.attempt(ctx, m)
	}
	r.mu.Lock()
	r.moves = slices.DeleteFunc(r.moves, func(other *relocation) bool { return other == m })
	r.mu.Unlock()
	switch {
	case err == nil:
		logger.Info("a log was moved to another folder")
	case ctx.Err() != nil || errors.Is(err, errGone):
		logger.Info("a log is not moved to another folder; that was taken back, or the broker stops, or the partition is gone")
	default:
		logger.Error("a log could not be moved to another folder; it stays where it is", "err", err)
	}
}

// attempt copies a log and puts the copy in its place.
func (r *relocations) attempt(ctx context.Context, m *relocation) (err error) {
	p := m.partition
	if m.annex, err = m.to.dir.OpenAnnex(p.TopicPartition); err != nil {
		return err
	}
	defer func() {
		r.begun(m, nil)
		err = errors.Join(err, m.annex.Close())
		m.to.dir.Abandon(m.annex)
	}()
	l, err := m.annex.Open(p.TopicPartition, p.TopicID, p.Log().Config())
	if err != nil {
		return err
	}
	r.begun(m, l)
	for {
		if err := r.catchUp(ctx, m, l); err != nil {
			return err
		}
		err := r.swap(m, l)
		if !errors.Is(err, errUnsettled) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(unsettledPause):
		}
	}
}

// unsettledPause is how long to wait for an ISR that is being changed.
const unsettledPause = 50 * time.Millisecond

func (r *relocations) begun(m *relocation, l *log.Log) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.copy = l
}

// copyBytes is how much is copied at a time.
const copyBytes = 1 << 20

// catchUp copies until the copy has all that the log has.
func (r *relocations) catchUp(ctx context.Context, m *relocation, l *log.Log) error {
	for l.End() < m.partition.Log().End() {
		if err := r.rest(ctx); err != nil {
			return err
		}
		if m.partition.Deleted() {
			return errGone
		}
		before := l.Size()
		if err := copySome(m.partition.Log(), l); err != nil {
			return err
		}
		r.pace.take(int(l.Size()-before), time.Now())
	}
	return nil
}

// rest waits until more may be copied.
func (r *relocations) rest(ctx context.Context) error {
	for ctx.Err() == nil {
		b := r.broker
		r.pace.setRate(b.config.ReplicationRates(b.view.Image().BrokerConfig(b.config.NodeID)).LogDirs)
		wait := r.pace.wait(time.Now())
		if wait <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return ctx.Err()
}

// copySome appends to a copy what follows its end in the log. Where both have a record
// of one leader epoch at one offset, all below is the same too.
func copySome(from, to *log.Log) error {
	start, end := from.Start(), to.End()
	switch {
	case to.Start() == end && start > end:
		if err := to.StartAt(start); err != nil {
			return err
		}
	case end > from.End(), to.Start() < end && start < end && from.EpochAt(end-1) != to.EpochAt(end-1), start > end:
		return errOvertaken
	}
	slice, err := from.Read(to.End(), copyBytes, from.End(), true)
	if err != nil {
		return err
	}
	defer slice.Close()
	if slice.Len == 0 {
		return fmt.Errorf("%s has nothing at offset %d, and ends at %d", from, to.End(), from.End())
	}
	records := make([]byte, slice.Len)
	if _, err := slice.File.ReadAt(records, slice.Off); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if first, _, err := record.Next(records); err == nil && to.Start() == to.End() && first.BaseOffset() < to.End() {
		if err := to.StartAt(first.BaseOffset()); err != nil { // the log begins within a batch
			return err
		}
	}
	_, err = to.AppendReplicated(records, time.Now())
	return err
}

// swap puts the copy in the log's place. It keeps changes of the metadata away, so that
// nobody gives the partition another log meanwhile.
func (r *relocations) swap(m *relocation, l *log.Log) error {
	b, p := r.broker, m.partition
	b.assigning.Lock()
	defer b.assigning.Unlock()
	t, known := b.view.Image().TopicByID(p.TopicID)
	if current, err := b.partitions.Get(p.Topic, p.TopicPartition.Partition); err != nil || current != p || !known {
		return errGone
	}
	if !p.Settle() {
		return errUnsettled
	}
	hw, old := p.HighWatermark(), p.Log()
	b.letGo(p)
	resume := old.Halt()
	err := finish(m, old, l)
	if err != nil {
		resume()
		b.serveAgain(t, p.TopicPartition, old, hw)
		return err
	}
	b.forgetFolder(p.TopicPartition)
	if err := errors.Join(old.Dir().Delete(p.TopicPartition), old.Dir().SyncNames()); err != nil {
		// After a stop it could be taken for the partition's log, and lacks what comes now.
		b.offline(p.TopicPartition, p.TopicID, fmt.Errorf("it lies in %s now, and %s, where it was, cannot be deleted: %w", m.to.path, old.Path(), err))
		return nil
	}
	if moved := b.hold(m.to, b.view.Image(), t, p.TopicPartition); moved != nil {
		b.serveAgain(t, p.TopicPartition, moved, hw)
	}
	return nil
}

// finish copies the rest of a log that grows no more, and moves the copy to its folder.
func finish(m *relocation, old, l *log.Log) error {
	for l.End() < old.End() {
		if err := copySome(old, l); err != nil {
			return err
		}
	}
	if l.End() > old.End() || l.End() > l.Start() && l.EpochAt(l.End()-1) != old.EpochAt(l.End()-1) {
		return errOvertaken
	}
	if err := l.AdvanceStart(old.Start()); err != nil {
		return err
	}
	if err := m.annex.Close(); err != nil {
		return err
	}
	return m.to.dir.Adopt(m.annex, m.partition.TopicPartition)
}

// letGo takes a partition out of service, and who waits for it looks for it again.
func (b *Broker) letGo(p *replica.Partition) {
	b.partitions.RemoveOne(p.TopicPartition)
	if b.node != nil {
		b.node.replicator.Remove(p)
		b.node.coordinators.moved(p.TopicPartition, false, 0)
	}
	b.resign(p)
}

// serveAgain serves a partition from a log, up to the high watermark that was known.
func (b *Broker) serveAgain(t *metadata.Topic, tp protocol.TopicPartition, l *log.Log, highWatermark int64) {
	if b.node != nil {
		p := b.partitions.AddReplica(tp, t.ID, l)
		p.Resume(highWatermark)
		b.node.assign(b.view.Image(), t, tp.Partition, b.node.minISR(b.view.Image(), t))
		return
	}
	p := b.partitions.Add(tp, t.ID, t.Partitions[tp.Partition].LeaderEpoch, l)
	switch tp.Topic {
	case offsetsTopic:
		b.leadGroups(p)()
	case txnTopic:
		b.leadTxnPartition(p)()
	}
}
