package active

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/security"
)

// Config says how an active controller works. What is zero takes its default, except
// where zero has a meaning.
type Config struct {
	Node int32
	// SessionTimeout is how long a broker may be silent, 1.5 s by default.
	// broker.session.timeout.ms
	SessionTimeout time.Duration
	// Grace is how long a broker whose connection broke has to be reached or heard of
	// again, 200 ms by default. One whose process is gone has none.
	Grace time.Duration
	// FirstContact is how long a new controller waits to hear of a broker that votes, 1 s
	// by default, but never longer than the session. Such a broker knows at once who was
	// elected, others after a while.
	FirstContact time.Duration
	// Rebalance lets preferred leaders lead again, auto.leader.rebalance.enable, checked
	// every ImbalanceCheck, by default 5 minutes, leader.imbalance.check.interval.seconds,
	// where more than ImbalancePercent of what a broker should lead is led by others,
	// leader.imbalance.per.broker.percentage.
	Rebalance        bool
	ImbalanceCheck   time.Duration
	ImbalancePercent int
	// First are the passwords with which a new cluster begins.
	First []security.ScramCredential
}

func (c Config) withDefaults() Config {
	if c.SessionTimeout == 0 {
		c.SessionTimeout = 1500 * time.Millisecond
	}
	if c.Grace == 0 {
		c.Grace = 200 * time.Millisecond
	}
	if c.FirstContact == 0 {
		c.FirstContact = time.Second
	}
	c.FirstContact = min(c.FirstContact, c.SessionTimeout)
	if c.ImbalanceCheck == 0 {
		c.ImbalanceCheck = 5 * time.Minute
	}
	return c
}

// Quorum is what decisions are agreed by.
type Quorum interface {
	Image() *metadata.Image
	// ProposeAt takes a decision, alone, on the newest image, and returns the image with
	// it and its offset. NOT_CONTROLLER where this node does not lead.
	// No records change nothing.
	ProposeAt(ctx context.Context, decide func(*metadata.Image) ([]metadata.Record, error)) (*metadata.Image, int64, error)
	// Leader is who leads as far as this node knows, -1 for nobody.
	Leader() (id, epoch int32)
	// AwaitLead returns when this node leads and its image has all that earlier leaders
	// decided.
	AwaitLead(ctx context.Context) (epoch int32, err error)
	// AwaitLeaderChange returns when who leads, or the epoch, is another.
	AwaitLeaderChange(ctx context.Context, id, epoch int32) (newID, newEpoch int32, err error)
	// Observe lets fn hear of every decision.
	Observe(fn func(*metadata.Image, *metadata.Delta)) *metadata.Image
}

// Target is a broker to which a connection is to be kept, and where.
type Target struct {
	Node     int32
	Endpoint metadata.Endpoint
}

// Addr is where the broker is reached, as host:port.
func (t Target) Addr() string {
	return net.JoinHostPort(t.Endpoint.Host, strconv.Itoa(int(t.Endpoint.Port)))
}

// Deps is what an active controller uses.
type Deps struct {
	Quorum Quorum
	// Inputs are what decisions depend on besides the metadata.
	Inputs func() controller.Inputs
	// Watch keeps connections to the targets, and none to who was a target before.
	// [Active.Suspect] and [Active.Reached] are to hear of them. It must not block.
	Watch  func([]Target)
	Logger *slog.Logger
	Now    func() time.Time
}

// Active is safe for concurrent use. Requests that come while this node does not lead
// are answered with NOT_CONTROLLER.
type Active struct {
	config     Config
	deps       Deps
	controller controller.Controller

	mu sync.Mutex
	// Guarded by mu.
	term  *term         // nil while this node does not lead
	begun chan struct{} // closed when term is set, and replaced
}

// New returns an active controller that takes part once it runs.
func New(c Config, deps Deps) *Active {
	a := &Active{config: c.withDefaults(), deps: deps, controller: controller.Controller{First: c.First}, begun: make(chan struct{})}
	deps.Quorum.Observe(a.observe)
	return a
}

// Run leads whenever this node is elected, until ctx ends. It fails if this node can
// take no more part in the quorum.
func (a *Active) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		epoch, err := a.deps.Quorum.AwaitLead(ctx)
		switch {
		case err == nil:
			a.lead(ctx, epoch)
		case ctx.Err() == nil:
			return fmt.Errorf("wait until this node leads the quorum: %w", err)
		}
	}
	return nil
}

// lead returns when this node does not lead any more.
func (a *Active) lead(ctx context.Context, epoch int32) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	img, offset, err := a.deps.Quorum.ProposeAt(ctx, func(img *metadata.Image) ([]metadata.Record, error) {
		return a.controller.Begin(img), nil
	})
	if err != nil {
		a.deps.Logger.Warn("this node was elected, but cannot decide; it tries again", "epoch", epoch, "err", err)
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
		}
		return
	}
	t := newTerm(a, img, offset)
	a.deps.Logger.Info("this node is the active controller", "epoch", epoch)
	a.begin(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.run(ctx)
	}()
	id, newEpoch, err := a.deps.Quorum.AwaitLeaderChange(ctx, a.config.Node, epoch)
	a.end()
	cancel()
	<-done
	a.deps.Watch(nil)
	if err == nil {
		a.deps.Logger.Info("this node is not the active controller any more", "leader", id, "epoch", newEpoch)
	}
}

func (a *Active) begin(t *term) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.term = t
	close(a.begun)
	a.begun = make(chan struct{})
}

func (a *Active) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.term = nil
}

func (a *Active) current() (*term, chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.term, a.begun
}

// awaitTerm returns the term in which this node leads. Where it was elected just now
// the term is waited for.
func (a *Active) awaitTerm(ctx context.Context) (*term, error) {
	for {
		t, begun := a.current()
		if t != nil {
			return t, nil
		}
		if id, _ := a.deps.Quorum.Leader(); id != a.config.Node {
			return nil, fmt.Errorf("node %d is the active controller, not this one: %w", id, kerr.NotController)
		}
		select {
		case <-begun:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for what earlier controllers decided: %w: %w", context.Cause(ctx), kerr.NotController)
		}
	}
}

// observe hears of every decision, whoever asked for it.
func (a *Active) observe(_ *metadata.Image, d *metadata.Delta) {
	if t, _ := a.current(); t != nil && len(d.BrokersChanged) > 0 {
		t.brokersChanged()
	}
}

// Suspect hears that the connection to a broker that is watched broke, or could not
// be made. gone says that its process has ended.
func (a *Active) Suspect(broker int32, gone bool) {
	if t, _ := a.current(); t != nil {
		t.suspect(broker, gone)
	}
}

// Reached hears that a connection to a broker that is watched was made.
func (a *Active) Reached(broker int32) {
	if t, _ := a.current(); t != nil {
		t.reached(broker)
	}
}
