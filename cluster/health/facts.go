// Package health judges a cluster: from what its brokers tell, the [Facts], it makes
// a list of what is wrong, where, and what to do about it.
//
// It only judges. Who asks the brokers, and how, is for others; so every rule can be
// tried on a table of facts. What nobody told is no problem and no health either: it
// is passed on as unknown. Nothing here keeps a state or starts a goroutine.
package health

import (
	"slices"
	"time"

	"github.com/klamm-io/klamm/protocol"
)

// Facts are what the brokers of a cluster told at one moment.
type Facts struct {
	Controller  int32    // the node that decides for the cluster; -1 where it is not known
	Brokers     []Broker // those that are registered, by id
	FencedKnown bool     // fenced brokers are among them; old clusters leave them out
	Partitions  []Partition
	Quorum      *Quorum // nil where it is not known
	Unknown     []Unknown
}

// Broker is one broker of the cluster.
type Broker struct {
	ID     int32
	Host   string
	Port   int32
	Rack   string
	Fenced bool
	Dirs   []Dir  // nil where it was not asked
	Silent string // why it does not answer; empty where it does, or was not asked
}

// Dir is a folder that holds logs.
type Dir struct {
	Path     string
	Failed   string // why it cannot be used; empty where it can
	Usable   int64  // bytes that are free on its disk, -1 where it is not told
	Total    int64  // bytes of its disk, -1 where it is not told
	Cordoned bool   // it gets no new partitions
}

// Partition is one partition and what is known of its replicas.
type Partition struct {
	protocol.TopicPartition
	Leader           int32   // -1: none
	Replicas         []int32 // in the order in which they are preferred as leaders; those that are to come and to go included
	ISR              []int32
	Adding, Removing []int32
	// Of a partition without leader: who may lead besides those in the ISR, as it has
	// all records (KIP-966), and who could when nobody else was left.
	ELR, LastKnownELR []int32
	MinISR            int             // min.insync.replicas; 0 where it is not known
	Sizes             map[int32]int64 // bytes of the log, by the brokers that told it
	Damaged           map[int32]int64 // by broker, the first offset of a replica that is damaged, or is copied anew because it was
}

// Quorum is what the controllers agree by.
type Quorum struct {
	Failed string // why nobody could tell; empty where the rest is known
	Leader int32  // -1: none
	Voters []Voter
}

// Voter is a controller that has a vote.
type Voter struct {
	ID     int32
	LogEnd int64 // -1: not known
	// LastFetch and CaughtUp are when it fetched last from the leader, and when it had
	// all that the leader had. The leader's are its clock. Zero: not known.
	LastFetch, CaughtUp time.Time
	// Never says that it fetched nothing from this leader so far.
	Never bool
	// Fixed says that controller.quorum.voters names it: its vote cannot be taken away.
	Fixed bool
}

// Unknown is what the cluster did not tell, and why.
type Unknown struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Broker returns the broker with an id, nil where none is registered.
func (f *Facts) Broker(id int32) *Broker {
	i := slices.IndexFunc(f.Brokers, func(b Broker) bool { return b.ID == id })
	if i < 0 {
		return nil
	}
	return &f.Brokers[i]
}

// up reports whether a broker is registered and takes part.
func (f *Facts) up(id int32) bool {
	b := f.Broker(id)
	return b != nil && !b.Fenced
}

// Target is where a partition's replicas are once its move, if there is one, is done.
func (p *Partition) Target() []int32 { return without(p.Replicas, p.Removing) }

// Moving reports whether replicas of the partition are to come or to go.
func (p *Partition) Moving() bool { return len(p.Adding)+len(p.Removing) > 0 }

// Behind returns how many bytes a replica's log is shorter than the leader's, about:
// compaction and deletion may have gone further in one than in the other. It is -1
// where it is not known.
func (p *Partition) Behind(broker int32) int64 {
	leads, known := p.Sizes[p.Leader]
	has, told := p.Sizes[broker]
	if !known || !told {
		return -1
	}
	return max(0, leads-has)
}

// ToCopy returns how many bytes the replicas that are to come lack, about.
func (p *Partition) ToCopy() (bytes int64) {
	for _, id := range p.Adding {
		if !slices.Contains(p.ISR, id) {
			bytes += max(0, p.Sizes[p.Leader]-p.Sizes[id])
		}
	}
	return bytes
}

// late are the replicas that should be in sync and are not.
func (p *Partition) late() []int32 { return without(p.Replicas, p.Adding, p.ISR) }

// without returns the brokers of list that are in none of the others.
func without(list []int32, others ...[]int32) []int32 {
	var left []int32
	for _, id := range list {
		if !slices.ContainsFunc(others, func(o []int32) bool { return slices.Contains(o, id) }) {
			left = append(left, id)
		}
	}
	return left
}
