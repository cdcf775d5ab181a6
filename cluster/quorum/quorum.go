// Package quorum makes decisions durable. It is the shell around the pure
// packages metadata and controller: it holds the image that counts, lets one
// decision at a time be taken on it, writes the records to the metadata log, and
// applies them once they are on the disk. For now the quorum has one voter, this
// node.
//
// The log is `__cluster_metadata-0` in the broker's own folder, in the format of
// every other log; each decision is one batch, so a stop at any moment leaves a
// prefix of the decisions. When it has grown much beyond what it says, a snapshot
// of the image takes the place of its beginning. The formats are drawn in
// docs/formats/metadata-records.md.
//
// Invariant: the image never shows what is not durable.
//
// Goroutines: decisions run on the goroutine of whoever proposes; [Quorum.Run]
// owns the snapshots. The one lock is the turn to decide; an observer is called
// with the turn held, so it must not propose.
package quorum

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// Config is what a quorum is opened for. Sizes of zero take their defaults.
type Config struct {
	NodeID    int32
	ClusterID string
	// SegmentBytes is the size of the log's segments, 8 MiB by default. It bounds
	// one decision, and how finely what a snapshot replaces is freed.
	SegmentBytes int
	// SnapshotBytes is what is written at least between two snapshots, 1 MiB by
	// default.
	SnapshotBytes int64
}

// Deps is what a quorum uses. Dir stays the caller's to run and to close, after
// the quorum.
type Deps struct {
	Dir    *log.Dir
	FS     disk.FS
	Logger *slog.Logger
}

// Quorum is safe for concurrent use.
type Quorum struct {
	logger        *slog.Logger
	journal       *journal
	snapshotBytes int64

	state atomic.Pointer[state]
	due   atomic.Int64  // state.written from which on a snapshot is due
	grown chan struct{} // has room for one word that it is

	// turn holds one token; who takes it may change state. Close keeps it.
	turn   chan struct{}
	closed chan struct{}
	once   sync.Once

	mu        sync.Mutex
	observers []func(*metadata.Image, *metadata.Delta) // guarded by mu; only grows
}

// state is where the cluster stands.
type state struct {
	image   *metadata.Image
	end     int64 // offset in the log after the last record in image
	written int64 // bytes of log that were replayed at the start or written since
}

// Open reads the snapshot and the log of a cluster, or begins them. A folder
// that belongs to another cluster is refused.
func Open(c Config, deps Deps) (*Quorum, error) {
	j, err := openJournal(c, deps)
	if err != nil {
		return nil, err
	}
	q := &Quorum{
		logger:        deps.Logger,
		journal:       j,
		snapshotBytes: c.SnapshotBytes,
		grown:         make(chan struct{}, 1),
		turn:          make(chan struct{}, 1),
		closed:        make(chan struct{}),
	}
	if q.snapshotBytes == 0 {
		q.snapshotBytes = 1 << 20
	}
	if err := q.load(); err != nil {
		return nil, fmt.Errorf("read the cluster's metadata in %s: %w", j.log.Path(), err)
	}
	q.turn <- struct{}{}
	return q, q.begin(c)
}

// load builds the image from what is on the disk.
func (q *Quorum) load() error {
	image, at, size, err := q.journal.loadSnapshot()
	if err != nil {
		return err
	}
	s := &state{image: image, end: at}
	err = q.journal.replay(at, func(records []metadata.Record, end int64, bytes int) error {
		next, _, err := s.image.Apply(records)
		s = &state{image: next, end: end, written: s.written + int64(bytes)}
		return err
	})
	if err != nil {
		return err
	}
	if err := q.journal.dropBefore(at); err != nil {
		return err
	}
	q.state.Store(s)
	q.due.Store(q.interval(size))
	q.announceGrowth(s)
	return nil
}

// begin decides what a new cluster starts from, and that this node leads.
func (q *Quorum) begin(c Config) error {
	_, err := q.Propose(context.Background(), func(img *metadata.Image) ([]metadata.Record, error) {
		var records []metadata.Record
		switch img.ClusterID {
		case c.ClusterID:
		case "":
			records = append(records, &metadata.ClusterNamed{ClusterID: c.ClusterID})
		default:
			return nil, fmt.Errorf("the metadata in %s is of cluster %s, this node is to be in %s: name another folder with log.dirs",
				q.journal.log.Path(), img.ClusterID, c.ClusterID)
		}
		if img.ControllerID != c.NodeID {
			records = append(records, &metadata.ControllerElected{BrokerID: c.NodeID})
		}
		return records, nil
	})
	return err
}

// Image is the metadata as it stands: decided, durable, and observed or about to
// be.
func (q *Quorum) Image() *metadata.Image { return q.state.Load().image }

// Observe lets fn hear of every decision that comes, in order, before the
// Propose that made it returns. It should be called before the first Propose
// whose outcome matters to fn.
func (q *Quorum) Observe(fn func(*metadata.Image, *metadata.Delta)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.observers = append(q.observers, fn)
}

// Propose takes a decision: decide is called with the newest image, alone, and
// returns the records that are to be. When they are durable, applied and
// observed, the image with them is returned. No records change nothing, and
// decide's error is returned as it is.
//
// ctx bounds the wait for the turn. Once decide was called the decision is seen
// through. If it cannot be written, the error wraps KAFKA_STORAGE_ERROR and
// nothing is applied; after a restart it may turn out that it was written.
func (q *Quorum) Propose(ctx context.Context, decide func(*metadata.Image) ([]metadata.Record, error)) (*metadata.Image, error) {
	if err := q.take(ctx); err != nil {
		return nil, err
	}
	defer func() { q.turn <- struct{}{} }()
	before := q.state.Load()
	records, err := decide(before.image)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return before.image, nil
	}
	return q.commit(before, records)
}

func (q *Quorum) take(ctx context.Context) error {
	select {
	case <-q.turn:
		return nil
	case <-q.closed:
		return fmt.Errorf("this node takes no more decisions: it is stopping: %w", kerr.NotController)
	case <-ctx.Done():
		return fmt.Errorf("wait for the turn to decide: %w: %w", context.Cause(ctx), kerr.RequestTimedOut)
	}
}

// commit makes records count. The caller holds the turn.
func (q *Quorum) commit(before *state, records []metadata.Record) (*metadata.Image, error) {
	image, delta, err := before.image.Apply(records)
	if err != nil {
		return nil, fmt.Errorf("a decision does not fit the metadata that it was taken on: %w", err)
	}
	end, bytes, err := q.journal.write(records)
	if err != nil {
		return nil, err
	}
	after := &state{image: image, end: end, written: before.written + int64(bytes)}
	q.state.Store(after)
	q.announceGrowth(after)
	for _, observe := range q.observing() {
		observe(image, delta)
	}
	return image, nil
}

func (q *Quorum) observing() []func(*metadata.Image, *metadata.Delta) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.observers
}

// Close waits for the decision that is being taken; none is taken afterwards.
// The image stays readable.
func (q *Quorum) Close() error {
	q.once.Do(func() {
		<-q.turn
		close(q.closed)
	})
	return nil
}
