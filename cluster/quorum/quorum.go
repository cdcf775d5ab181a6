// Package quorum makes decisions durable and agreed. It is the shell around the
// pure packages metadata and controller: it holds the image that counts, lets
// one decision at a time be taken on it where this node leads, replicates the
// decision to the other voters by etcd's raft, and applies it once most of them
// have it on their disks.
//
// The raft log is `__cluster_metadata-0` in the broker's own folder, in the
// format of every other log. An entry of raft is a batch of one record: its index
// is the record's offset plus one, its term is the batch's leader epoch, and the
// value holds the decision's metadata records. When the log has grown much beyond
// what it says, a snapshot of the image takes the place of its beginning. The
// formats are drawn in docs/formats/metadata-records.md.
//
// A node that does not vote has an [Observer] in place of the quorum: it asks a
// voter for what was decided, over and over, and keeps it in memory. [View] is what
// both have in common.
//
// Invariant: the image never shows what could be lost.
//
// A voter is a node with its disk: one that has lost it is another voter, and has no
// vote before the others have agreed on it ([birth] and
// docs/decisions/0015-a-voter-is-a-disk.md). Who leads is found out by turns (election.go).
//
// Goroutines, from [Open] to [Quorum.Close]: one drives raft and owns its state
// and the log's end ([replica]); one applies what is committed, in order, and
// calls the observers, so that a slow one holds up no vote; one claims the
// leadership for this node each time that raft elects it; one takes in nodes that ask
// for a vote, where this one leads. Decisions run on the
// goroutine of whoever proposes; [Quorum.Run] owns the snapshots. An observer has
// the goroutine of [Observer.Run] only.
//
// Locks: the turn to decide, then Quorum.mu. An observer is called with neither
// held, but before the decision's Propose returns, so it must not propose.
package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// Config is what a quorum is opened for. What is zero takes its default.
type Config struct {
	NodeID    int32
	ClusterID string
	// Voters are the nodes that vote in a new cluster, this one alone by default.
	// Once a cluster has agreed on its voters, those count.
	Voters []metadata.Voter
	// Resumes says that the node's folders hold partitions: there is metadata that
	// knows of them, or it was lost, and a cluster must not begin over them.
	Resumes bool
	// Features are the levels at which this node can be; in a cluster at others it takes
	// no part, and says so. Nil are any.
	Features []metadata.FeatureRange
	// SegmentBytes is the size of the log's segments, 8 MiB by default. It bounds
	// one decision, and how finely what a snapshot replaces is freed.
	SegmentBytes int
	// SnapshotBytes is what is written at least between two snapshots, 1 MiB by
	// default.
	SnapshotBytes int64
	// ElectionTimeout is how long a silent leader is waited for, 1 s by default;
	// chance adds up to as much again. controller.quorum.election.timeout.ms
	ElectionTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if len(c.Voters) == 0 {
		c.Voters = []metadata.Voter{{ID: c.NodeID}}
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = defaultSegmentBytes
	}
	if c.SnapshotBytes == 0 {
		c.SnapshotBytes = 1 << 20
	}
	if c.ElectionTimeout == 0 {
		c.ElectionTimeout = time.Second
	}
	return c
}

// Deps is what a quorum uses. Dir stays the caller's to run and to close, after
// the quorum.
type Deps struct {
	Dir    *log.Dir
	FS     disk.FS
	Logger *slog.Logger
	// Send hands a message to another node of the quorum, whose [Quorum.Receive]
	// should get it; at is where its controller listens, empty where that is not known.
	// It must not block; it may lose messages. It may be called before Open returns.
	// Nil for a quorum of one.
	Send func(to int32, at []metadata.Endpoint, message []byte)
}

// Quorum is safe for concurrent use.
type Quorum struct {
	knowledge

	config  Config
	logger  *slog.Logger
	journal *journal
	replica *replica

	reads *reads        // of observers
	due   atomic.Int64  // state.written from which on a snapshot is due
	grown chan struct{} // has room for one word that it is

	// turn holds one token; who takes it may decide. Close keeps it.
	turn chan struct{}
	// change holds one token; who takes it may add or remove a voter.
	change chan struct{}
	once   sync.Once

	// Guarded by mu.
	pending    *proposal // the decision that raft has and that is not applied
	unwritable error     // why the last write failed, nil where it did not
}

// Open reads the snapshot and the log of a cluster, or begins them, and takes
// part in the quorum until Close. Where this node is the only voter, it leads
// when Open returns. A folder that belongs to another cluster is refused.
func Open(c Config, deps Deps) (*Quorum, error) {
	c = c.withDefaults()
	j, err := openJournal(c, deps)
	if err != nil {
		return nil, err
	}
	q := &Quorum{
		config: c, logger: deps.Logger, journal: j, reads: newReads(),
		grown: make(chan struct{}, 1), turn: make(chan struct{}, 1), change: make(chan struct{}, 1),
	}
	if err := q.loadOrForget(deps); err != nil {
		return nil, fmt.Errorf("read the cluster's metadata in %s: %w", j.log.Path(), err)
	}
	q.turn <- struct{}{}
	q.change <- struct{}{}
	q.replica.start()
	if q.alone() {
		if _, err := q.AwaitLead(context.Background()); err != nil {
			return nil, errors.Join(err, q.Close())
		}
	}
	return q, nil
}

// load builds the image from the newest snapshot, and gives raft the log that
// follows it.
func (q *Quorum) load(deps Deps) error {
	s, size, err := q.journal.loadSnapshot()
	if err != nil {
		return err
	}
	if named := s.image.ClusterID; named != "" && named != q.config.ClusterID {
		return q.otherCluster(named)
	}
	if err := checkLevels(s.image, q.config.Features); err != nil {
		return err
	}
	if q.config.Resumes && s.index == 0 && q.journal.log.End() == 0 {
		return errLost
	}
	if err := q.journal.dropBefore(s.index); err != nil {
		return err
	}
	q.begin(s)
	q.due.Store(q.interval(size))
	q.replica, err = newReplica(q, deps, s)
	return err
}

var errLost = errors.New("it is empty, but the folders of log.dirs hold partitions, so what was known of their topics is lost; " +
	"restore it from a backup, or move the partitions' folders away to begin with none")

func (q *Quorum) otherCluster(id string) error {
	return fmt.Errorf("the metadata in %s is of cluster %s, this node is to be in %s: name another folder with log.dirs",
		q.journal.log.Path(), id, q.config.ClusterID)
}

// alone reports whether this node decides without anyone.
func (q *Quorum) alone() bool { return q.replica.alone.Load() }

// Voters are those agreed on, or those that a new cluster begins with, sorted by
// id in the first case.
func (q *Quorum) Voters() []metadata.Voter { return votersOf(q.Image(), q.config.Voters) }

func votersOf(img *metadata.Image, configured []metadata.Voter) []metadata.Voter {
	var agreed []metadata.Voter
	for v := range img.Voters() {
		agreed = append(agreed, *v)
	}
	if len(agreed) == 0 {
		return configured
	}
	return agreed
}

// Propose takes a decision, where this node leads the quorum: decide is called
// with the newest image, alone, and returns the records that are to be. When
// they are durable on most voters, applied and observed, the image with them is
// returned. No records change nothing, and decide's error is returned as it is.
//
// ctx bounds the wait for the turn, and where another node leads, that for this
// one to do so is not begun: NOT_CONTROLLER. Once decide was called the decision
// is seen through. If it cannot be written here, the error wraps
// KAFKA_STORAGE_ERROR and nothing is applied; if this node loses the lead
// meanwhile, it is NOT_CONTROLLER, and the decision may yet turn out to be taken.
func (q *Quorum) Propose(ctx context.Context, decide func(*metadata.Image) ([]metadata.Record, error)) (*metadata.Image, error) {
	img, _, err := q.ProposeAt(ctx, decide)
	return img, err
}

// ProposeAt is Propose, and tells at which offset the image that it returns stands:
// whoever has applied up to there has seen the decision.
func (q *Quorum) ProposeAt(ctx context.Context, decide func(*metadata.Image) ([]metadata.Record, error)) (img *metadata.Image, offset int64, err error) {
	if err := q.take(ctx); err != nil {
		return nil, 0, err
	}
	defer func() { q.turn <- struct{}{} }()
	term, err := q.leading(ctx)
	if err != nil {
		return nil, 0, err
	}
	after, err := q.decide(term, decide)
	if err != nil {
		return nil, 0, err
	}
	return after.image, int64(after.index), nil
}

func (q *Quorum) take(ctx context.Context) error {
	select {
	case <-q.turn:
		return nil
	case <-q.closed:
		return errStopping
	case <-ctx.Done():
		return fmt.Errorf("wait for the turn to decide: %w: %w", context.Cause(ctx), kerr.RequestTimedOut)
	}
}

var errStopping = fmt.Errorf("this node takes no more decisions: it is stopping: %w", kerr.NotController)

// leading waits until all that earlier leaders decided is in the image, and
// returns the term in which this node leads.
func (q *Quorum) leading(ctx context.Context) (term uint64, err error) {
	for tried := false; ; {
		q.mu.Lock()
		leader, failed, unwritable, changed := q.leader, q.failed, q.unwritable, q.changed
		leads := q.leads()
		q.mu.Unlock()
		switch {
		case failed != nil:
			return 0, failed
		case unwritable != nil && (tried || !q.alone()):
			return 0, unwritable
		case unwritable != nil:
			tried = true // there may be room again
			q.replica.retry()
		case leads:
			return leader.term, nil
		case leader.id != q.config.NodeID && !q.alone():
			return 0, fmt.Errorf("node %d leads the quorum, not this one: %w", leader.id, kerr.NotController)
		}
		select {
		case <-changed:
		case <-q.closed:
			return 0, errStopping
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for what earlier leaders decided: %w: %w", context.Cause(ctx), kerr.RequestTimedOut)
		}
	}
}

// decide takes a decision in a term that this node leads. The caller holds the
// turn.
func (q *Quorum) decide(term uint64, decide func(*metadata.Image) ([]metadata.Record, error)) (*state, error) {
	before := q.state.Load()
	records, err := decide(before.image)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return before, nil
	}
	if _, _, err := before.image.Apply(records); err != nil {
		return nil, fmt.Errorf("a decision does not fit the metadata that it was taken on: %w", err)
	}
	// What Apply was given belongs to its image, which is not that of the decision.
	p := &proposal{term: term, decision: metadata.EncodeDecision(nil, records), outcome: make(chan error, 1)}
	p.voters = voterChange(records, p.decision)
	if len(p.decision) > q.journal.limit {
		return nil, fmt.Errorf("a decision of %d bytes is beyond the %d that fit a segment of the metadata log; ask for less at once: %w",
			len(p.decision), q.journal.limit, kerr.PolicyViolation)
	}
	if err := q.replica.propose(p); err != nil {
		return nil, err
	}
	if err := <-p.outcome; err != nil {
		return nil, err
	}
	return p.after, nil
}

// Close waits for the decision that is being taken, and leaves the quorum; none
// is taken here afterwards. The image stays readable.
func (q *Quorum) Close() error {
	var err error
	q.once.Do(func() {
		<-q.turn
		close(q.closed)
		err = q.replica.stop()
	})
	return err
}
