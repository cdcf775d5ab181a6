package active

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
)

// retryAfter is how long a term waits before it tries anew what the quorum did not
// let it decide.
const retryAfter = 100 * time.Millisecond

// term is one time for which this node leads, and what it knows of the brokers since
// it was elected.
type term struct {
	active *Active
	queue  *queue
	// Each has room for one word that there is something to do.
	toFence, toElect chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	liveness *controller.Liveness
	refused  map[int32]string // why a broker was refused last, until it is let in

	watched []Target // of the goroutine that fences
}

// newTerm begins with the metadata that stands at an offset.
func newTerm(a *Active, img *metadata.Image, offset int64) *term {
	now := a.deps.Now()
	l := controller.NewLiveness(a.config.SessionTimeout, a.config.Grace, img, offset, now)
	for v := range img.Voters() {
		l.Expect(v.ID, a.config.FirstContact, now)
	}
	return &term{
		active: a, queue: newQueue(a.deps.Quorum), liveness: l, refused: map[int32]string{},
		toFence: make(chan struct{}, 1), toElect: make(chan struct{}, 1),
	}
}

// run returns when ctx has ended, and with it all that it started.
func (t *term) run(ctx context.Context) {
	var tasks sync.WaitGroup
	tasks.Go(func() { t.queue.run(ctx) })
	tasks.Go(func() { t.fence(ctx) })
	tasks.Go(func() { t.elect(ctx) })
	tasks.Wait()
}

func (t *term) image() *metadata.Image { return t.active.deps.Quorum.Image() }

func (t *term) now() time.Time { return t.active.deps.Now() }

// decide has records decided that nobody asked for.
func (t *term) decide(ctx context.Context, decide decider) error {
	return t.queue.take(ctx, decide).err
}

// brokersChanged hears that there are other brokers, or that they are in another
// state.
func (t *term) brokersChanged() {
	wake(t.toFence)
	wake(t.toElect)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (t *term) suspect(broker int32, gone bool) {
	t.mu.Lock()
	if gone {
		t.liveness.Gone(broker, t.now())
	} else {
		t.liveness.Suspect(broker, t.now())
	}
	t.mu.Unlock()
	wake(t.toFence)
}

func (t *term) reached(broker int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.liveness.Reached(broker)
}

// fence fences who is overdue, and keeps the connections that tell who is.
func (t *term) fence(ctx context.Context) {
	for {
		t.watch()
		var timer <-chan time.Time
		if next := t.fenceOverdue(ctx); !next.IsZero() {
			timer = time.After(next.Sub(t.now()))
		}
		select {
		case <-ctx.Done():
			return
		case <-t.toFence:
		case <-timer:
		}
	}
}

// fenceOverdue returns when to look again, the zero time where no broker is unfenced.
func (t *term) fenceOverdue(ctx context.Context) time.Time {
	for {
		ids, next := t.overdue(t.image())
		if len(ids) == 0 {
			return next
		}
		errs := make([]error, len(ids))
		var tasks sync.WaitGroup
		for i, id := range ids { // at once, so that they are decided together
			tasks.Go(func() { errs[i] = t.fenceBroker(ctx, id) })
		}
		tasks.Wait()
		for i, err := range errs {
			if err != nil && ctx.Err() == nil {
				t.active.deps.Logger.Warn("a broker that is overdue could not be fenced", "broker", ids[i], "err", err)
			}
			if err != nil {
				return t.now().Add(retryAfter)
			}
		}
	}
}

func (t *term) overdue(img *metadata.Image) (ids []int32, next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.liveness.Overdue(img, t.now())
}

// fenceBroker fences a broker unless it is heard of meanwhile.
func (t *term) fenceBroker(ctx context.Context, id int32) error {
	for more, begun := true, false; more; {
		var why string
		err := t.decide(ctx, func(img *metadata.Image) (records []metadata.Record) {
			more, why = false, ""
			if ids, _ := t.overdue(img); !slices.Contains(ids, id) {
				return nil
			}
			why = t.why(id)
			records, more = t.active.controller.FenceBroker(img, id, t.active.deps.Inputs())
			return records
		})
		if err != nil {
			return err
		}
		if why != "" && !begun {
			begun = true
			t.active.deps.Logger.Warn("a broker is fenced", "broker", id, "why", why)
		}
	}
	return nil
}

func (t *term) why(id int32) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.liveness.Why(id)
}

// watch keeps a connection to each broker that takes part, so that it is noticed at
// once when its process ends.
func (t *term) watch() {
	listener := t.active.deps.Inputs().Config.InterBrokerListener
	var targets []Target
	for b := range t.image().Live() {
		// A controller that is no broker need not know the name; a broker tells the
		// listener for other nodes first.
		at := slices.IndexFunc(b.Endpoints, func(e metadata.Endpoint) bool { return e.Listener == listener || listener == "" })
		if b.ID != t.active.config.Node && at >= 0 {
			targets = append(targets, Target{Node: b.ID, Endpoint: b.Endpoints[at]})
		}
	}
	if !slices.Equal(targets, t.watched) {
		t.watched = targets
		t.active.deps.Watch(targets)
	}
}

// elect elects leaders without being asked: where there is none as soon as somebody
// may lead, and at intervals the preferred ones.
func (t *term) elect(ctx context.Context) {
	var balance <-chan time.Time
	if t.active.config.Rebalance {
		ticker := time.NewTicker(t.active.config.ImbalanceCheck)
		defer ticker.Stop()
		balance = ticker.C
	}
	for {
		t.electLeaderless(ctx)
		select {
		case <-ctx.Done():
			return
		case <-t.toElect:
		case <-balance:
			t.balance(ctx)
		}
	}
}

// electLeaderless elects leaders where an earlier decision did not hold them all.
func (t *term) electLeaderless(ctx context.Context) {
	c, in := &t.active.controller, t.active.deps.Inputs()
	if records, _ := c.ElectLeaderless(t.image(), in); len(records) == 0 {
		return
	}
	t.sweep(ctx, "leaders could not be elected", func(img *metadata.Image) ([]metadata.Record, bool) {
		return c.ElectLeaderless(img, in)
	})
}

// balance lets preferred leaders lead again, where too many do not.
func (t *term) balance(ctx context.Context) {
	c, in := &t.active.controller, t.active.deps.Inputs()
	brokers := c.Imbalanced(t.image(), t.active.config.ImbalancePercent)
	if len(brokers) == 0 {
		return
	}
	t.active.deps.Logger.Info("partitions are led by their preferred leaders again", "brokers", brokers)
	t.sweep(ctx, "preferred leaders could not be elected", func(img *metadata.Image) ([]metadata.Record, bool) {
		return c.BalanceLeaders(img, brokers, in)
	})
}

// sweep decides until there is no more to decide.
func (t *term) sweep(ctx context.Context, failure string, decide func(*metadata.Image) (records []metadata.Record, more bool)) {
	for more := true; more; {
		err := t.decide(ctx, func(img *metadata.Image) (records []metadata.Record) {
			records, more = decide(img)
			return records
		})
		if err != nil {
			if ctx.Err() == nil {
				t.active.deps.Logger.Warn(failure, "err", err)
			}
			return
		}
	}
}
