package replica

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// ReplicatorConfig is how this node replicates.
type ReplicatorConfig struct {
	Node              int32
	LagMax            time.Duration // replica.lag.time.max.ms
	ProposalBackoff   time.Duration // before the controller is asked again for an ISR
	FetchWait         time.Duration // replica.fetch.wait.max.ms
	FetchBackoff      time.Duration // replica.fetch.backoff.ms: the most, after errors in a row
	MinBytes          int32         // replica.fetch.min.bytes
	MaxBytes          int32         // replica.fetch.response.max.bytes
	PartitionMaxBytes int32         // replica.fetch.max.bytes
}

// ReplicatorDeps is what replication uses. Functions may be called from any
// goroutine, and but for Send must not block.
type ReplicatorDeps struct {
	// Send sends a request to another node and waits for the answer. It returns soon
	// after ctx ended.
	Send func(ctx context.Context, node int32, req kmsg.Request) (kmsg.Response, error)
	// SendInto is Send for fetches, whose answers are large: it reads the answer to
	// memory, which it changes for larger where that is too small, and the answer is
	// valid until the next call with the same memory. While it runs memory belongs to it.
	// Nil: Send is used.
	SendInto func(ctx context.Context, node int32, req kmsg.Request, memory *[]byte) (kmsg.Response, error)
	// Propose asks the controller for an ISR. It calls done once, later.
	Propose func(p Proposal, done func(ProposalAnswer))
	// Eligible reports whether a broker may be in an ISR: it is neither fenced nor
	// shutting down, and registered with the given epoch.
	Eligible func(id int32, brokerEpoch int64) bool
	// BrokerEpoch is the epoch of this node's registration.
	BrokerEpoch func() int64
	// Throttled is how long a partition is not to be fetched because the quota for
	// replication is used up, and Received counts towards it.
	Throttled func(protocol.TopicPartition) time.Duration
	Received  func(tp protocol.TopicPartition, bytes int)
	Logger    *slog.Logger
}

// Replicator lets this node's replicas lead and follow.
//
// Its mutex is taken before a fetcher's, and never with a partition's role lock.
type Replicator struct {
	config ReplicatorConfig
	deps   ReplicatorDeps

	mu sync.Mutex
	// Guarded by mu.
	running  context.Context // nil: not yet, or no more
	fetchers map[int32]*fetcher
	follows  map[*Partition]*following
	leads    map[*Partition]*leadership // those that have followers
	soon     map[*leadership]struct{}   // those that are to look again after the back-off

	tasks sync.WaitGroup // the fetchers that run
}

// NewReplicator returns a replicator that fetches nothing until Run.
func NewReplicator(c ReplicatorConfig, deps ReplicatorDeps) *Replicator {
	if deps.SendInto == nil {
		deps.SendInto = func(ctx context.Context, node int32, req kmsg.Request, _ *[]byte) (kmsg.Response, error) {
			return deps.Send(ctx, node, req)
		}
	}
	return &Replicator{
		config: c, deps: deps,
		fetchers: map[int32]*fetcher{}, follows: map[*Partition]*following{},
		leads: map[*Partition]*leadership{}, soon: map[*leadership]struct{}{},
	}
}

// Assign takes in what the controller says about a partition. It may be told the
// same again, and what is past. Calls for one partition must not overlap.
//
// A broker that has restarted must not lead in an epoch that it led in before: it
// may have lost records that were not flushed, and that followers have.
func (r *Replicator) Assign(p *Partition, a Assignment) {
	if a.Leader != r.config.Node {
		r.follow(p, a)
		return
	}
	rules := isrRules{LagMax: r.config.LagMax, Backoff: r.config.ProposalBackoff, Eligible: r.deps.Eligible}
	lead := p.lead(a, r.config.Node, rules, r.propose)
	r.setFollowing(p, p.following.Load())
	r.mu.Lock()
	defer r.mu.Unlock()
	if lead != nil && len(a.Replicas) > 1 {
		r.leads[p] = lead
	}
}

// follow lets a partition follow its leader.
func (r *Replicator) follow(p *Partition, a Assignment) {
	f := p.follow(a)
	if f != nil {
		switch from, err := f.repair(a, r.config.Node); {
		case err != nil:
			r.deps.Logger.Error("a damaged log could not be cut off to be copied anew", "partition", p.String(), "err", err)
		case from >= 0:
			r.deps.Logger.Warn("a log is damaged; it is copied anew from there on", "partition", p.String(), "offset", from, "leader", a.Leader)
		}
	}
	r.setFollowing(p, f)
}

// Remove lets go of a partition that this node has no replica of any more.
func (r *Replicator) Remove(p *Partition) {
	r.setFollowing(p, nil)
}

// setFollowing hands a partition to the fetcher of its leader, and takes it from
// the one that had it.
func (r *Replicator) setFollowing(p *Partition, now *following) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.leads, p)
	before := r.follows[p]
	if before == now {
		return
	}
	if before != nil {
		r.drop(before)
	}
	if now == nil {
		return
	}
	r.follows[p] = now
	f := r.fetchers[now.leader]
	if f == nil {
		f = newFetcher(now.leader, r)
		r.fetchers[now.leader] = f
		r.start(f)
	}
	f.add(now)
}

// drop takes a partition from its fetcher, which ends with its last one. The caller
// holds mu.
func (r *Replicator) drop(before *following) {
	delete(r.follows, before.partition)
	f := r.fetchers[before.leader]
	if f == nil || f.remove(before.partition) > 0 {
		return
	}
	delete(r.fetchers, before.leader)
	if f.cancel != nil {
		f.cancel()
	}
}

// start runs a fetcher if the replicator runs. The caller holds mu.
func (r *Replicator) start(f *fetcher) {
	if r.running == nil {
		return
	}
	ctx, cancel := context.WithCancel(r.running)
	f.cancel = cancel
	r.tasks.Go(func() { f.run(ctx) })
}

// Run replicates until ctx ends.
func (r *Replicator) Run(ctx context.Context) error {
	r.mu.Lock()
	r.running = ctx
	for _, f := range r.fetchers {
		r.start(f)
	}
	r.mu.Unlock()
	tick := time.NewTicker(r.config.ProposalBackoff)
	defer tick.Stop()
	for looked := time.Now(); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case now := <-tick.C:
			if now.Sub(looked) >= r.config.LagMax/2 {
				r.Reconsider()
				looked = now
			} else {
				r.reconsiderSoon()
			}
		}
	}
	r.mu.Lock()
	r.running = nil // nobody starts a fetcher any more
	r.mu.Unlock()
	r.tasks.Wait()
	return nil
}

// Reconsider lets every partition that is led from here look again who is in sync.
// It is to be called when brokers have become eligible, or have ceased to be.
func (r *Replicator) Reconsider() {
	r.mu.Lock()
	all := make([]*leadership, 0, len(r.leads))
	for _, lead := range r.leads {
		all = append(all, lead)
	}
	clear(r.soon)
	r.mu.Unlock()
	for _, lead := range all {
		lead.passed()
	}
}

func (r *Replicator) reconsiderSoon() {
	r.mu.Lock()
	all := r.soon
	r.soon = map[*leadership]struct{}{}
	r.mu.Unlock()
	for lead := range all {
		lead.passed()
	}
}

// propose is the [proposer] of this node's leaderships.
func (r *Replicator) propose(lead *leadership, p *proposal) {
	if p == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.soon[lead] = struct{}{}
		return
	}
	if request, still := lead.request(p); still {
		r.deps.Propose(request, func(answer ProposalAnswer) { lead.answered(p, answer) })
	}
}
