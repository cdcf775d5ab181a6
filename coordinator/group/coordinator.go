package group

import (
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
)

// Config is what groups are held to.
type Config struct {
	MinSessionTimeout     time.Duration // group.min.session.timeout.ms
	MaxSessionTimeout     time.Duration // group.max.session.timeout.ms
	InitialRebalanceDelay time.Duration // group.initial.rebalance.delay.ms
	MaxSize               int           // group.max.size
	OffsetMetadataMax     int           // offset.metadata.max.bytes
	OffsetsRetention      time.Duration // offsets.retention.minutes
	Consumer              Consumer
}

// What a step says has the same form in every machine (see [step]).
type (
	// Ticket stands for a request that waits for its reply.
	Ticket = step.Ticket
	// Reply is the answer to a request.
	Reply = step.Reply
	// Record is a record of __consumer_offsets.
	Record = step.Record
	// Write is records to be appended together.
	Write = step.Write
)

// Output is what a step wants done.
type Output struct{ step.Output }

func (o *Output) reply(to Ticket, response kmsg.Response) {
	o.Replies = append(o.Replies, Reply{To: to, Response: response})
}

func (o *Output) write(records []Record, done func(error) []Reply) {
	o.Writes = append(o.Writes, Write{Records: records, Done: done})
}

// Client is who sends a request.
type Client struct {
	ID   string
	Host string
}

// Coordinator holds the groups of one partition of __consumer_offsets.
type Coordinator struct {
	config  Config
	newID   func() string // the random part of a member id
	logger  *slog.Logger
	groups  map[string]*group
	wakes   wakes
	pending map[int64]pendingOffsets // by producer id: of transactions that are open
	changes int64                    // of offsets, since the coordinator was made
	unknown map[int16]bool           // versions of record keys that were met and not understood

	cluster     Cluster
	seen        topicsSeen        // how often the cluster changed
	topicHashes map[string]uint64 // of topics as they are
}

// New returns a coordinator without groups. newID returns a new random text each
// time.
func New(c Config, newID func() string, logger *slog.Logger) *Coordinator {
	return &Coordinator{
		config: c, newID: newID, logger: logger, groups: map[string]*group{}, pending: map[int64]pendingOffsets{}, unknown: map[int16]bool{},
		cluster: noCluster{}, seen: topicsSeen{any: 1, names: 1}, topicHashes: map[string]uint64{},
	}
}

// Kind is a group's type and its state, as clients know them.
type Kind struct{ Type, State string }

// States counts the groups by their type and state.
func (c *Coordinator) States() map[Kind]int {
	counts := map[Kind]int{}
	for _, g := range c.groups {
		kind, state := g.kind()
		counts[Kind{kind, state}]++
	}
	return counts
}

// Committed is what a group committed.
type Committed struct {
	Group   string
	Members int
	Offsets map[protocol.TopicPartition]int64
}

// Committed lists what every group committed.
func (c *Coordinator) Committed() []Committed {
	all := make([]Committed, 0, len(c.groups))
	for _, g := range c.groups {
		told := Committed{Group: g.id, Members: g.size(), Offsets: make(map[protocol.TopicPartition]int64, len(g.offsets))}
		for tp, o := range g.offsets {
			told.Offsets[tp] = o.offset
		}
		all = append(all, told)
	}
	return all
}

// obtain returns the group, made empty if it is not there.
func (c *Coordinator) obtain(id string, now time.Time) *group {
	g := c.groups[id]
	if g == nil {
		g = newGroup(id, now)
		c.groups[id] = g
	}
	return g
}

func (g *group) size() int {
	if g.consumer != nil {
		return len(g.consumer.members)
	}
	return len(g.members)
}
