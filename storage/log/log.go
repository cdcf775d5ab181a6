package log

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol"
)

// Log is one partition's log. It is safe for concurrent use.
type Log struct {
	protocol.TopicPartition
	TopicID protocol.TopicID

	dir    *Dir
	path   string
	logger *slog.Logger

	config   atomic.Pointer[Config]
	segments atomic.Pointer[[]*segment] // ascending; the last is active; never changed in place

	start         atomic.Int64
	end           atomic.Int64
	flushed       atomic.Int64
	highWatermark atomic.Int64
	firstUnstable atomic.Int64               // first offset of the earliest open transaction, math.MaxInt64 for none
	ended         atomic.Pointer[[]endedTxn] // lately; never changed in place
	bookmarks     bookmarks
	failed        atomic.Pointer[error]
	refusing      atomic.Int64 // since when the disk takes no appends, in milliseconds; 0: it took the last
	suspect       atomic.Bool  // damage was found since it was known that there is none
	closed        atomic.Bool  // set under mu: nothing is appended any more
	deleted       atomic.Bool  // set under mu and snapshotMu: the files go, and their names may be another log's

	onCommitted func(end int64)
	flushing    atomic.Bool
	lastFlush   atomic.Int64 // unix milliseconds
	unverified  atomic.Int64 // bytes appended since the last checkpoint
	rewinds     atomic.Int64 // how often the log's end was set to another place

	mu sync.Mutex
	// Guarded by mu.
	producers     *producers
	epochs        *epochs
	leaderFloor   int32   // leaders of earlier epochs append no more
	epochsChanged bool    // since they were written
	snapshotAt    int64   // end offset of the newest producer snapshot on disk
	namesChanged  bool    // files were made that the folder's own flush must still cover
	zeros         bool    // the folder looks after those ahead of the end
	remembered    []int64 // segments that the damage file names, by their bases, ascending

	flushMu sync.Mutex // held during a flush; taken before mu

	snapshotMu sync.Mutex // held while a producers' snapshot is written; taken after mu

	// compactMu is held during compaction and retention, and by truncations and a
	// deletion, which wait for either; taken before mu and the Dir's checkpointMu.
	compactMu   sync.Mutex
	interrupted atomic.Int32 // who waits for compactMu and lets a compaction end

	// Set while the log is opened, not changed later.
	abortsLost bool // which transactions were aborted is not known for all of the log

	// Guarded by the Dir's checkpointMu.
	recoveryPoint int64
}

// Start is the first offset that can be read.
func (l *Log) Start() int64 { return l.start.Load() }

// End is the offset that the next record will get.
func (l *Log) End() int64 { return l.end.Load() }

// Flushed is the offset below which everything is on the disk.
func (l *Log) Flushed() int64 { return l.flushed.Load() }

// Committed is the end that counts for the high watermark: Flushed where
// acknowledgements wait for the disk, else End.
func (l *Log) Committed() int64 {
	if l.Config().FlushOnAck {
		return l.Flushed()
	}
	return l.End()
}

// OnCommitted sets the function that is called, outside every lock, when
// Committed advanced. It is to be set once, before the first append.
func (l *Log) OnCommitted(fn func(end int64)) { l.onCommitted = fn }

// SetHighWatermark tells the log up to where retention may delete.
func (l *Log) SetHighWatermark(hw int64) { l.highWatermark.Store(hw) }

// LastStable is the first offset of the earliest transaction whose end is not
// below hw, at most hw.
func (l *Log) LastStable(hw int64) int64 {
	// In this order: a transaction enters ended before it leaves firstUnstable.
	stable := min(hw, l.firstUnstable.Load())
	if ended := l.ended.Load(); ended != nil {
		for _, e := range *ended {
			if e.marker >= hw {
				stable = min(stable, e.firstOffset)
			}
		}
	}
	return stable
}

// Config returns the log's present configuration.
func (l *Log) Config() Config { return *l.config.Load() }

// SetConfig replaces the configuration.
func (l *Log) SetConfig(c Config) {
	l.config.Store(&c)
	if c.FlushOnAck {
		l.requestFlush()
	}
}

// Path is the log's folder.
func (l *Log) Path() string { return l.path }

// Dir is the folder of logs that this one lies in.
func (l *Log) Dir() *Dir { return l.dir }

// Size is the bytes of records that the log holds on disk.
func (l *Log) Size() int64 {
	var total int64
	for _, s := range *l.segments.Load() {
		total += s.size.Load()
	}
	return total
}

// Failed returns why the log cannot be used any more, nil while it can.
func (l *Log) Failed() error {
	if err := l.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Damaged reports whether damage is known. It may be asked often.
func (l *Log) Damaged() bool {
	if !l.suspect.Load() {
		return false
	}
	l.suspect.Store(false) // first: what is found from here on is not forgotten
	is := slices.ContainsFunc(*l.segments.Load(), func(s *segment) bool { return s.damage.any() && s.next.Load() > l.Start() })
	if is {
		l.suspect.Store(true)
	}
	return is
}

// note notes a damaged stretch of a segment, see [damage.add].
func (l *Log) note(s *segment, at stretch, cuts int) (fresh bool) {
	fresh = s.damage.add(at, cuts)
	l.suspect.Store(true)
	return fresh
}

// fail takes the log out of use: what its files hold is no longer known. What
// goes wrong with files that are deleted is nobody's trouble.
func (l *Log) fail(err error) {
	if l.deleted.Load() {
		return
	}
	if l.failed.CompareAndSwap(nil, &err) {
		l.logger.Error("log failed; its partition is offline until a restart", "partition", l.String(), "path", l.path, "err", err)
	}
}

// storageError gives a failure of the disk the code that clients know.
func storageError(err error) error { return fmt.Errorf("%w: %w", err, kerr.KafkaStorageError) }

func (l *Log) active() *segment {
	segments := *l.segments.Load()
	return segments[len(segments)-1]
}

// segmentIndex returns the number of the last segment that begins at or before
// offset, -1 where all begin later.
func segmentIndex(segments []*segment, offset int64) int {
	return sort.Search(len(segments), func(i int) bool { return segments[i].base > offset }) - 1
}

// addSegment makes a new active segment. The caller holds mu, or has the log to
// itself.
func (l *Log) addSegment(s *segment, now time.Time) {
	var segments []*segment
	if old := l.segments.Load(); old != nil {
		segments = *old
	}
	s.created = now
	grown := append(segments[:len(segments):len(segments)], s)
	l.segments.Store(&grown)
}

func (l *Log) file(name string) string { return filepath.Join(l.path, name) }

// AdvanceStart makes offset the first that can be read, if it is beyond the
// present one (KIP-107). Segments wholly below it go with the next retention.
func (l *Log) AdvanceStart(offset int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if offset > l.End() {
		return fmt.Errorf("start %s at offset %d: it ends at %d: %w", l, offset, l.End(), kerr.OffsetOutOfRange)
	}
	if offset <= l.Start() {
		return nil
	}
	if err := l.moveStart(offset); err != nil {
		return err
	}
	l.dir.checkpointSoon()
	return nil
}

// moveStart sets the start and what follows from it. The caller holds mu.
func (l *Log) moveStart(offset int64) error {
	l.start.Store(offset)
	if l.epochs.truncateTo(offset) {
		l.epochsChanged = true
	}
	return l.storeEpochs()
}

// Segments is how many segments the log has.
func (l *Log) Segments() int { return len(*l.segments.Load()) }
