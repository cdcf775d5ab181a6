package shard

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"

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
	Partitions     int32         // of __consumer_offsets
	ExpiryInterval time.Duration // offsets.retention.check.interval.ms
}

// tick is how often time passes for the coordinators: a session ends late by
// that much at most.
const tick = 50 * time.Millisecond

// groupPartition is the groups of one partition of __consumer_offsets.
type groupPartition struct{ partition[*group.Coordinator] }

func (p *groupPartition) step(take func(*group.Coordinator) group.Output) error {
	return p.partition.step(func(c *group.Coordinator) step.Output { return take(c).Output })
}

// Groups are the group coordinators of this broker. It is safe for concurrent use.
type Groups struct {
	config Config
	logger *slog.Logger

	mu sync.RWMutex
	// Guarded by mu.
	partitions map[int32]*groupPartition
	cluster    group.Cluster // nil before the first word of it
}

// New returns Groups that lead no partition yet.
func New(c Config, logger *slog.Logger) *Groups {
	return &Groups{config: c, logger: logger, partitions: map[int32]*groupPartition{}}
}

// Partition is the partition of __consumer_offsets that a group belongs to: the
// one that Java's String.hashCode leads to.
func (g *Groups) Partition(groupID string) int32 {
	return partitionOf(groupID, g.config.Partitions)
}

// partitionOf is the partition of a coordinator's topic that an id belongs to:
// by the hash without its sign, and 0 where the lowest number has no positive
// twin.
func partitionOf(id string, partitions int32) int32 {
	hash := int32(0)
	for _, unit := range utf16.Encode([]rune(id)) {
		hash = 31*hash + int32(unit)
	}
	if hash < 0 {
		hash = max(0, -hash)
	}
	return hash % partitions
}

// Lead makes this broker the coordinator of a partition's groups. It returns
// when the log is read; meanwhile clients are told to come back.
func (g *Groups) Lead(index int32, log Log) error {
	p := &groupPartition{partition[*group.Coordinator]{
		log:     log,
		logger:  g.logger,
		machine: group.New(g.config.Config, newID, g.logger),
		state:   kerr.CoordinatorLoadInProgress,
	}}
	g.mu.Lock()
	g.partitions[index] = p
	cluster := g.cluster
	g.mu.Unlock()
	if cluster != nil {
		p.machine.ClusterChanged(cluster, nil, false)
	}
	if err := p.load(); err != nil {
		return fmt.Errorf("load the groups of partition %d: %w", index, err)
	}
	return nil
}

// Resign gives a partition's groups up.
func (g *Groups) Resign(index int32) {
	g.mu.Lock()
	p := g.partitions[index]
	delete(g.partitions, index)
	g.mu.Unlock()
	if p != nil {
		p.resign()
	}
}

// ResignAll gives all groups up, because this broker stops.
func (g *Groups) ResignAll() {
	g.mu.RLock()
	led := slices.Collect(maps.Keys(g.partitions))
	g.mu.RUnlock()
	for _, index := range led {
		g.Resign(index)
	}
}

func newID() string {
	var id [16]byte
	rand.Read(id[:])
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// of returns the partition that a group belongs to, if it is led here.
func (g *Groups) of(groupID string) (*groupPartition, error) {
	g.mu.RLock()
	p := g.partitions[g.Partition(groupID)]
	g.mu.RUnlock()
	if p == nil {
		return nil, kerr.NotCoordinator
	}
	return p, nil
}

func (g *Groups) all() []*groupPartition {
	g.mu.RLock()
	defer g.mu.RUnlock()
	all := make([]*groupPartition, 0, len(g.partitions))
	for _, p := range g.partitions {
		all = append(all, p)
	}
	return all
}

// Run lets time pass until ctx ends; not for partitions that do not serve.
func (g *Groups) Run(ctx context.Context) error {
	ticks, expiry := time.NewTicker(tick), time.NewTicker(max(tick, g.config.ExpiryInterval))
	defer ticks.Stop()
	defer expiry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticks.C:
			for _, p := range g.all() {
				_ = p.step(func(c *group.Coordinator) group.Output { return c.Tick(now) })
			}
		case now := <-expiry.C:
			for _, p := range g.all() {
				_ = p.step(func(c *group.Coordinator) group.Output { return c.Expire(now) })
			}
		}
	}
}

// TopicsDeleted forgets what groups committed for topics that are gone.
func (g *Groups) TopicsDeleted(names []string) {
	for _, p := range g.all() {
		_ = p.step(func(c *group.Coordinator) group.Output { return c.TopicsDeleted(names) })
	}
}

// ClusterChanged tells the groups what the cluster is now, which topics came, went
// or changed, and whether any came or went. The cluster does not change.
func (g *Groups) ClusterChanged(now group.Cluster, topics []string, names bool) {
	g.mu.Lock()
	g.cluster = now
	g.mu.Unlock()
	for _, p := range g.all() {
		p.look(func(c *group.Coordinator) { c.ClusterChanged(now, topics, names) })
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
