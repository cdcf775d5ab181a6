package quorum

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// Participant is the view of a controller in a quorum whose voters change: what its
// own part in the quorum tells it while it votes, and while it does not, what voters
// answer an [Observer]. So a node that joins, and one whose vote was taken away, knows
// the metadata as all others do.
//
// Its mutexes: turn is held while observers hear of a decision, and taken before mu.
type Participant struct {
	knowledge
	quorum   *Quorum
	observer func(told []metadata.Voter) *Observer // makes one that asks those first
	told     []metadata.Voter                      // whom to ask while no voter is known

	turn sync.Mutex
	from *knowledge // guarded by turn: who told the last decision

	leaderFrom *knowledge // guarded by mu: who told of the leader
}

const (
	// participantTick is how often it is looked whether this node votes.
	participantTick = 250 * time.Millisecond
	// participantPatience is how long a node that thinks that it votes waits for a leader
	// to be known before it asks others.
	participantPatience = 3 * time.Second
)

// NewParticipant returns a view that knows what the quorum does. told are voters to ask
// while none are known; observer makes what asks.
func NewParticipant(q *Quorum, told []metadata.Voter, observer func([]metadata.Voter) *Observer) *Participant {
	p := &Participant{quorum: q, observer: observer, told: told, from: &q.knowledge}
	p.begin(q.state.Load())
	q.Observe(func(_ *metadata.Image, d *metadata.Delta) { p.take(&q.knowledge, d) })
	return p
}

// Voters are those agreed on, as far as this node knows.
func (p *Participant) Voters() []metadata.Voter { return votersOf(p.Image(), p.told) }

// take takes in what one of the two was just told. d leads there from what it was told
// before.
func (p *Participant) take(k *knowledge, d *metadata.Delta) {
	p.turn.Lock()
	defer p.turn.Unlock()
	s := k.state.Load()
	if s.index <= p.state.Load().index {
		return // the other was sooner
	}
	if p.from != k {
		d = metadata.Diff(p.Image(), s.image)
		p.from = k
	}
	p.publish(s, d)
}

// Run keeps what is known new until ctx ends. The quorum is run by its owner.
func (p *Participant) Run(ctx context.Context) error {
	defer close(p.closed)
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { p.follow(ctx, &p.quorum.knowledge); return nil })
	tasks.Go(func() error { return p.askWhileWithoutVote(ctx) })
	return tasks.Wait()
}

// askWhileWithoutVote lets an observer ask whenever this node has no vote, or seems to
// have lost it.
func (p *Participant) askWhileWithoutVote(ctx context.Context) error {
	tick := time.NewTicker(participantTick)
	defer tick.Stop()
	heard := time.Now()
	for ctx.Err() == nil {
		now := time.Now()
		if id, _ := p.quorum.Leader(); id >= 0 {
			heard = now
		}
		if !p.votes() || now.Sub(heard) > participantPatience {
			if err := p.ask(ctx); err != nil {
				return err
			}
			heard = time.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// votes reports whether this node is one of the voters, as far as is known.
func (p *Participant) votes() bool {
	for v := range p.Image().Voters() {
		if v.ID == p.quorum.config.NodeID {
			return true
		}
	}
	return false
}

// ask lets an observer ask until the quorum itself tells this node what is decided.
func (p *Participant) ask(ctx context.Context) error {
	o := p.observer(p.Voters())
	o.Observe(func(_ *metadata.Image, d *metadata.Delta) { p.take(&o.knowledge, d) })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tasks, asking := errgroup.WithContext(ctx)
	tasks.Go(func() error { return o.Run(asking) })
	tasks.Go(func() error { p.follow(asking, &o.knowledge); return nil })
	tasks.Go(func() error {
		defer cancel()
		p.awaitVote(asking)
		return nil
	})
	return tasks.Wait()
}

// awaitVote waits until this node votes, and its part in the quorum knows who leads
// and all that is known here.
func (p *Participant) awaitVote(ctx context.Context) {
	tick := time.NewTicker(participantTick)
	defer tick.Stop()
	for ctx.Err() == nil {
		id, _ := p.quorum.Leader()
		if id >= 0 && p.votes() && p.quorum.state.Load().index >= p.state.Load().index {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// follow passes on who leads, and how far the decisions are seen, until ctx ends or
// there is no more to come.
func (p *Participant) follow(ctx context.Context, k *knowledge) {
	for {
		k.mu.Lock()
		leader, applied, failed, changed := k.leader, k.applied, k.failed, k.changed
		k.mu.Unlock()
		p.heardOf(k, leader, applied, failed)
		select {
		case <-changed:
		case <-k.closed:
			return
		case <-ctx.Done():
			return
		}
	}
}

// heardOf takes in what one of the two knows. Of two leaders that of the later term
// counts; that one has gone in its term, only who told of it may say.
func (p *Participant) heardOf(k *knowledge, leader leadership, applied int64, failed error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if leader.term > p.leader.term || leader.term == p.leader.term && (leader.id >= 0 || p.leaderFrom == k) {
		p.leader, p.leaderFrom = leader, k
	}
	if applied <= int64(p.state.Load().index) {
		p.applied = max(p.applied, applied)
	}
	if failed != nil {
		p.failed = failed
	}
	p.announce()
}

var _ View = (*Participant)(nil)
