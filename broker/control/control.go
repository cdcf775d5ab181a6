package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// Config is who this broker is.
type Config struct {
	Node        int32
	ClusterID   string
	Incarnation [16]byte // a random UUID for this start of the process
	Rack        string   // empty: none
	Listeners   []metadata.Endpoint
	Features    []metadata.FeatureRange
	LogDirs     [][16]byte
	// Cordoned are those of the log dirs that get no new partitions now, not nil; it is
	// safe for concurrent use.
	Cordoned func() [][16]byte
	// PreviousBrokerEpoch is the epoch under which the broker shut down in order, -1
	// where it did not.
	PreviousBrokerEpoch int64
	HeartbeatInterval   time.Duration // broker.heartbeat.interval.ms
	SessionTimeout      time.Duration // broker.session.timeout.ms
}

// View is the metadata as this node has it.
type View interface {
	Image() *metadata.Image
	// Leader is the node that decides, -1 where none is known, and in which epoch.
	Leader() (id, epoch int32)
	// Applied is the offset up to which the image stands.
	Applied() int64
	AwaitApplied(ctx context.Context, offset int64) error
	// AwaitLeaderChange returns once who decides, or the epoch, is not the given one.
	AwaitLeaderChange(ctx context.Context, id, epoch int32) (newID, newEpoch int32, err error)
}

// LocalController is the active controller while it is this node. Where it is not,
// answers say NOT_CONTROLLER.
type LocalController interface {
	RegisterBroker(context.Context, *kmsg.BrokerRegistrationRequest) *kmsg.BrokerRegistrationResponse
	Heartbeat(context.Context, *kmsg.BrokerHeartbeatRequest) *kmsg.BrokerHeartbeatResponse
	AlterPartition(context.Context, *kmsg.AlterPartitionRequest) *kmsg.AlterPartitionResponse
	AllocateProducerIDs(context.Context, *kmsg.AllocateProducerIDsRequest) *kmsg.AllocateProducerIDsResponse
}

// Deps is what the conversation uses.
type Deps struct {
	View  View
	Local LocalController // nil where this node never decides
	// Send sends a request to the controller listener of a node, which may be this
	// one, and waits for the answer. It returns soon after ctx ended.
	Send   func(ctx context.Context, node int32, req kmsg.Request) (kmsg.Response, error)
	Logger *slog.Logger
}

// Conversation is safe for concurrent use.
type Conversation struct {
	config Config
	deps   Deps

	leader   atomic.Pointer[leader]
	epoch    atomic.Int64  // of this broker's registration, -1 before
	wake     chan struct{} // has room for one word that a heartbeat is due
	proposed chan struct{} // has room for one word that there are proposals
	released chan struct{} // closed when the controller lets the broker shut down
	ended    chan struct{} // closed when Run ends

	mu sync.Mutex
	// Guarded by mu.
	seen     *metadata.Image // what the broker has taken in
	shutDown bool            // the broker wants to
	queue    queue           // proposals that are in no request yet
	decided  []decided       // proposals that seen does not show yet
	stopped  bool            // Run has ended: no proposal is taken any more
}

// leader is who decides, until another does.
type leader struct {
	id, epoch int32 // an id of -1: nobody that is known
	// reign ends when another leads. It is no request's context: requests to this
	// leader end with it, however long their own lasts.
	reign context.Context
	end   context.CancelFunc
}

func newLeader(id, epoch int32) *leader {
	l := &leader{id: id, epoch: epoch}
	l.reign, l.end = context.WithCancel(context.Background())
	return l
}

// New returns a conversation that begins with Run.
func New(c Config, deps Deps) *Conversation {
	v := &Conversation{
		config: c, deps: deps, seen: deps.View.Image(),
		wake: make(chan struct{}, 1), proposed: make(chan struct{}, 1),
		released: make(chan struct{}), ended: make(chan struct{}),
	}
	v.epoch.Store(-1)
	v.leader.Store(newLeader(deps.View.Leader()))
	return v
}

// Run speaks with the active controller until ctx ends. It is to be called once the
// broker can serve. The error says why this broker cannot be part of the cluster,
// and what to do.
func (c *Conversation) Run(ctx context.Context) error {
	c.ledBy(c.deps.View.Leader()) // it may have changed since New
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return c.follow(ctx) })
	tasks.Go(func() error { return (&session{Conversation: c}).run(ctx) })
	tasks.Go(func() error { c.carryProposals(ctx); return nil })
	err := tasks.Wait()
	close(c.ended)
	c.leader.Load().end()
	c.endProposals()
	return err
}

// follow notes who leads the quorum.
func (c *Conversation) follow(ctx context.Context) error {
	for ctx.Err() == nil {
		l := c.leader.Load()
		id, epoch, err := c.deps.View.AwaitLeaderChange(ctx, l.id, l.epoch)
		if err == nil {
			c.ledBy(id, epoch)
		} else if ctx.Err() == nil {
			return fmt.Errorf("follow who leads the quorum: %w", err)
		}
	}
	return nil
}

// ledBy notes who leads, and ends what waits for who did.
func (c *Conversation) ledBy(id, epoch int32) {
	c.leader.Swap(newLeader(id, epoch)).end()
}

// BrokerEpoch is the epoch of this broker's registration, -1 before.
func (c *Conversation) BrokerEpoch() int64 { return c.epoch.Load() }

// Registered reports whether an image shows this incarnation of the broker. In one
// that does not, what the broker leads and follows is that of an earlier one.
func (c *Conversation) Registered(img *metadata.Image) bool {
	b, found := img.Broker(c.config.Node)
	return found && b.Incarnation == c.config.Incarnation
}

// MetadataChanged is to be called with every image, in order, when the broker has
// taken it in: it has told its partitions what it says of them. It does not block.
func (c *Conversation) MetadataChanged(img *metadata.Image, d *metadata.Delta) {
	if b, found := img.Broker(c.config.Node); found && c.Registered(img) && b.Epoch > c.epoch.Load() {
		c.epoch.Store(b.Epoch) // the answer to the registration is on its way, or lost
	}
	c.mu.Lock()
	c.seen = img
	settled := c.settle()
	c.mu.Unlock()
	for _, s := range settled {
		s.done(s.answer)
	}
	if c.concernsHeartbeat(img, d) {
		signal(c.wake)
	}
}

// concernsHeartbeat reports whether the controller should hear of this broker at
// once: it waits for the broker to have read its own registration, or for all to
// have read that a broker which shuts down leads nothing any more; or other log dirs
// may be cordoned now.
func (c *Conversation) concernsHeartbeat(img *metadata.Image, d *metadata.Delta) bool {
	if slices.Contains(d.ConfigsChanged, metadata.BrokerResource(strconv.Itoa(int(c.config.Node)))) {
		return true
	}
	for _, id := range d.BrokersChanged {
		b, found := img.Broker(id)
		if id == c.config.Node && (!found || b.Fenced) || found && b.InControlledShutdown {
			return true
		}
	}
	return false
}

// ShutDown asks the controller to have others lead what this broker leads, and
// returns once it has, or an error once ctx or Run ends.
func (c *Conversation) ShutDown(ctx context.Context) error {
	c.mu.Lock()
	c.shutDown = true
	c.mu.Unlock()
	signal(c.wake)
	select {
	case <-c.released:
		return nil
	case <-c.ended:
		return errors.New("leave the cluster in order: nobody speaks with the active controller any more")
	case <-ctx.Done():
		return fmt.Errorf("leave the cluster in order: the active controller did not agree in time: %w", context.Cause(ctx))
	}
}

// signal gives a word to a channel that has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
