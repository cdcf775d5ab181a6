package shard

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/klamm-io/klamm/coordinator/group"
	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol/record"
)

// Log is one partition of a coordinator's topic, led by this broker.
type Log interface {
	// Append appends a batch and returns the offset of its last record.
	Append(batch record.Batch, o AppendOptions) (lastOffset int64, err error)
	// Verify begins to find out whether the log is in a producer's transaction. It
	// returns 0 where the transaction is open in the log already.
	Verify(producerID int64, epoch int16) (verification uint64)
	// WhenCommitted calls done once, with nil when the record at offset is
	// committed, or why it will not be; at once, or later on any goroutine.
	WhenCommitted(offset int64, done func(error))
	// Replay calls apply for every batch from the log's start to its end. A batch
	// is valid during the call.
	Replay(apply func(record.Batch) error) error
}

// AppendOptions is what a batch within a transaction, or a marker, needs besides.
type AppendOptions struct {
	Verification    uint64 // what Verify returned, for a batch that may open a transaction
	MarkerEpochEach bool   // a marker of transaction.version 2
}

// Client is who sends a request.
type Client = group.Client

// Config is how the coordinators behave.
type Config struct {
	group.Config
	Partitions     int32         // of __consumer_offsets, until SetPartitions
	ExpiryInterval time.Duration // offsets.retention.check.interval.ms
}

// Groups are the group coordinators of this broker, one for each partition of
// __consumer_offsets that it leads. It is safe for concurrent use.
type Groups struct {
	led[*group.Coordinator]
	config Config
	logger *slog.Logger

	known   sync.Mutex
	cluster group.Cluster // nil before the first word of it; guarded by known
}

// New returns Groups that lead no partition yet.
func New(c Config, logger *slog.Logger) *Groups {
	g := &Groups{config: c, logger: logger}
	g.SetPartitions(c.Partitions)
	return g
}

// Lead makes this broker the coordinator of a partition's groups, in a leader epoch of
// that partition; a former one of an earlier epoch ends. The caller is to call load,
// on any goroutine: it returns when the log is read, or once the partition is given
// up. Until it is read, clients are told to come back.
func (g *Groups) Lead(index, epoch int32, log Log) (load func() error) {
	p := newPartition(epoch, log, group.New(g.config.Config, newID, g.logger), g.logger)
	if !g.lead(index, p) {
		return func() error { return nil }
	}
	g.known.Lock()
	cluster := g.cluster // what changes after that is postponed
	g.known.Unlock()
	if cluster != nil {
		p.machine.ClusterChanged(cluster, nil, false)
	}
	return func() error {
		if err := p.load(); err != nil {
			return fmt.Errorf("load the groups of partition %d: %w", index, err)
		}
		return nil
	}
}

func newID() string {
	var id [16]byte
	rand.Read(id[:])
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// Run lets time pass until ctx ends.
func (g *Groups) Run(ctx context.Context) error {
	return g.run(ctx, g.config.ExpiryInterval,
		func(c *group.Coordinator, now time.Time) step.Output { return c.Tick(now).Output },
		func(c *group.Coordinator, now time.Time) step.Output { return c.Expire(now).Output })
}

// step takes a step of the coordinator that a group belongs to.
func (g *Groups) step(groupID string, take func(*group.Coordinator) group.Output) error {
	p, err := g.of(groupID)
	if err != nil {
		return err
	}
	return p.step(func(c *group.Coordinator) step.Output { return take(c).Output })
}

// TopicsDeleted forgets what groups committed for topics that are gone.
func (g *Groups) TopicsDeleted(names []string) {
	for _, p := range g.all() {
		p.eventually(func(c *group.Coordinator) step.Output { return c.TopicsDeleted(names).Output })
	}
}

// ClusterChanged tells the groups what the cluster is now, which topics came, went
// or changed, and whether any came or went. The cluster does not change.
func (g *Groups) ClusterChanged(now group.Cluster, topics []string, names bool) {
	g.known.Lock()
	g.cluster = now
	g.known.Unlock()
	for _, p := range g.all() {
		p.eventually(func(c *group.Coordinator) step.Output {
			c.ClusterChanged(now, topics, names)
			return step.Output{}
		})
	}
}

// States counts the groups by their type and state.
func (g *Groups) States() map[group.Kind]int {
	counts := map[group.Kind]int{}
	for _, p := range g.all() {
		p.look(func(c *group.Coordinator) {
			for state, n := range c.States() {
				counts[state] += n
			}
		})
	}
	return counts
}

// Committed lists what every group committed.
func (g *Groups) Committed() []group.Committed {
	var all []group.Committed
	for _, p := range g.all() {
		p.look(func(c *group.Coordinator) { all = append(all, c.Committed()...) })
	}
	return all
}
