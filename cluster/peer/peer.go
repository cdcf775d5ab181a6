// Package peer connects this node to the others of its cluster.
//
// There is one TCP connection for each node and [Lane]: a listener answers the
// requests of one connection in their order, so a long poll would hold up what has
// another purpose. A connection begins with a Hello, by which the other end knows
// whose requests follow, and tells who it is. Requests are pipelined: many may wait
// for their answers, which come in the order of the requests.
//
// Peers is also how a node hears early that another has died. The kernel closes the
// connections of a process that is killed, and refuses new ones to its address. So
// whoever reads notices at once, and asks at once whether anybody still listens.
// What hangs is noticed by its silence: see [Config.RequestTimeout].
//
// Goroutines, all within [Peers.Run]: one for each node and lane that was ever asked
// for, which connects, writes, and keeps the time (link), and one more while there is
// a connection, which reads.
//
// Locks: Peers.mu, then a link's. Functions of [Deps] are called with neither held.
package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// Lane is what a connection to a node is for.
type Lane string

// The lanes between the nodes of a cluster.
const (
	LaneQuorum       Lane = "quorum"      // messages of raft, and who follows the metadata
	LaneReplication  Lane = "replication" // followers that fetch
	LaneControl      Lane = "control"     // to the active controller
	LaneTransactions Lane = "txn"         // markers
	LaneWatch        Lane = "watch"       // nothing: whether the node lives
)

// Target is a node's address for a purpose. Where Node is negative it is not known
// yet who listens there, and whoever does is taken; each such number is a node of
// its own. When Addr is not what it was at the last call for the same node and lane,
// the connection to the former address is closed.
type Target struct {
	Node int32
	Addr string // host:port
	Lane Lane
}

// Config is who this node is, and how patient.
type Config struct {
	NodeID      int32
	ClusterID   string
	Incarnation [16]byte
	ClientID    string // by which metrics and logs of the other end know this node
	// DialTimeout bounds how long it takes to connect and to be greeted, 1 s by default.
	DialTimeout time.Duration
	// RequestTimeout is how long a node that owes an answer may be silent, 2 s by
	// default: then the connection is closed. What a request asks the other end to wait
	// must be less. Of a large answer a MiB is to arrive in that time.
	RequestTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.DialTimeout == 0 {
		c.DialTimeout = time.Second
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 2 * time.Second
	}
	return c
}

// Deps is what Peers uses. Reached and Broken may be nil. They are called in the
// order in which things happen to a node's lane, and must not block.
type Deps struct {
	// Dial connects to an address, for what the lane is for.
	Dial   func(ctx context.Context, lane Lane, addr string) (net.Conn, error)
	Logger *slog.Logger
	// Reached hears that a connection was established: there is a process, it is the
	// node, and it answers.
	Reached func(node int32, lane Lane)
	// Broken hears that an established connection ended, or that an attempt to establish
	// one failed. Refused says that nobody listens at the address, so the process is gone.
	// It does not hear of connections that this node ended because it had no more use for
	// them.
	Broken func(node int32, lane Lane, refused bool)
}

var (
	// ErrNotSent says of a failed request that it has not left this node, so that the
	// other end cannot have done what it asks. Where it is missing nobody knows.
	ErrNotSent = errors.New("not sent")
	// ErrStopped says that Run has ended.
	ErrStopped = errors.New("this node stops")
)

// Peers is safe for concurrent use.
type Peers struct {
	config Config
	deps   Deps
	hello  []byte // frame of this node's Hello

	mu sync.Mutex
	// Guarded by mu.
	running context.Context // nil before Run
	ended   bool
	links   map[place]*link // only grows: nodes are few

	tasks sync.WaitGroup // the links' goroutines
}

// place is what a link is known by.
type place struct {
	node int32
	lane Lane
}

// New returns Peers that connect to nobody until Run: requests wait for it.
func New(c Config, deps Deps) *Peers {
	p := &Peers{config: c.withDefaults(), deps: deps, links: map[place]*link{}}
	p.hello = p.helloFrame()
	return p
}

// Run keeps the connections until ctx ends. Then they are closed, and what waits for
// an answer fails.
func (p *Peers) Run(ctx context.Context) error {
	p.mu.Lock()
	p.running = ctx
	for _, l := range p.links {
		p.tasks.Go(func() { l.run(ctx) })
	}
	p.mu.Unlock()
	<-ctx.Done()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.tasks.Wait()
	return nil
}

// Request sends a request, at the highest version that Klamm serves, and waits for
// the answer. It connects if need be. It returns soon after ctx ends; the request may
// then still be answered, to nobody. Its errors wrap [ErrNotSent] where the request
// cannot have been done. req is used by Request until it returns; the response is the
// caller's.
func (p *Peers) Request(ctx context.Context, to Target, req kmsg.Request) (kmsg.Response, error) {
	return p.RequestInto(ctx, to, req, nil)
}

// RequestInto is Request for who asks for much, again and again: the answer is read
// into memory as far as that has the capacity, and the memory that holds it is left
// there for the next request. Byte slices of the response lie in it, so they are valid
// until then. While Request runs memory belongs to it; where it fails there is none
// left.
func (p *Peers) RequestInto(ctx context.Context, to Target, req kmsg.Request, memory *[]byte) (kmsg.Response, error) {
	resp, err := p.request(ctx, to, req, memory)
	if err != nil {
		return nil, fmt.Errorf("ask node %d at %s for %s: %w", to.Node, to.Addr, protocol.NameOf(req.Key()), err)
	}
	return resp, nil
}

func (p *Peers) request(ctx context.Context, to Target, req kmsg.Request, memory *[]byte) (kmsg.Response, error) {
	c, err := p.newCall(req)
	if err != nil {
		return nil, notSent(err)
	}
	if !c.answered {
		return nil, notSent(errors.New("nothing answers that"))
	}
	c.done = make(chan answer, 1)
	if memory != nil {
		// Whoever reads may still use it when nobody waits for the answer any more.
		c.memory, *memory = *memory, nil
	}
	l := p.link(to)
	if l == nil || !l.add(c) {
		return nil, notSent(ErrStopped)
	}
	select {
	case a := <-c.done:
		if a.err != nil {
			return nil, a.err
		}
		if memory != nil && cap(a.body) <= keptMost {
			*memory = a.body
		}
		return c.decode(req, a.body)
	case <-ctx.Done():
		if l.forget(c) {
			return nil, notSent(context.Cause(ctx))
		}
		return nil, fmt.Errorf("wait for the answer: %w", context.Cause(ctx))
	}
}

func notSent(err error) error { return fmt.Errorf("%w: %w", ErrNotSent, err) }

// Post sends a request that nobody waits for. It never blocks: the request is lost
// where the node cannot be reached, or where too much waits to be sent to it already.
// req is not used after Post has returned.
func (p *Peers) Post(to Target, req kmsg.Request) {
	l := p.link(to)
	if l == nil || !l.mayPost() {
		return
	}
	c, err := p.newCall(req)
	if err != nil {
		p.deps.Logger.Error("a request cannot be sent to other nodes", "err", err)
		return
	}
	l.add(c)
}

// Watch keeps a connection to each of the targets, and to none that it was told
// before and is not told now, so that Deps hears when one ends. A node that is down
// is tried again every 100 ms.
func (p *Peers) Watch(targets []Target) {
	watched := map[place]bool{}
	for _, t := range targets {
		if l := p.link(t); l != nil {
			watched[l.place] = true
			l.watch(true)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for at, l := range p.links {
		if !watched[at] {
			l.watch(false)
		}
	}
}

// link returns the link to a target, which from now on has the target's address. It
// returns nil when Run has ended.
func (p *Peers) link(to Target) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	at := place{to.Node, to.Lane}
	l := p.links[at]
	if l == nil {
		l = newLink(p, at)
		p.links[at] = l
		if ctx := p.running; ctx != nil {
			p.tasks.Go(func() { l.run(ctx) })
		}
	}
	l.setAddr(to.Addr)
	return l
}
