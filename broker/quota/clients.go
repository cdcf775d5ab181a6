package quota

import (
	"sync"
	"sync/atomic"
	"time"
)

// Clients measures what clients use, and says how long who exceeds a quota is to wait.
type Clients struct {
	windows Windows
	limits  atomic.Pointer[Limits]

	mu sync.Mutex
	// Guarded by mu, with what hangs below.
	uses  map[useKey]*use
	sweep int // as many uses are worth looking for those that can be forgotten
}

type useKey struct {
	kind Kind
	who  Holder // of a ConnectionRate the address, as its User
}

// use is what one holder uses of one kind.
type use struct {
	rate      rate
	tokens    tokens // in place of rate, of ControllerMutation
	throttles rate   // milliseconds of the waits that it was told
	waits     rate   // how many those were
}

// New returns clients that nothing bounds yet.
func New(w Windows) *Clients {
	return &Clients{windows: w, uses: map[useKey]*use{}, sweep: firstSweep}
}

// firstSweep is how many holders are kept before any are forgotten.
const firstSweep = 1024

// SetLimits takes up other quotas, by which what was used so far is judged from now on.
// With nil there are none, and what was used is forgotten.
func (c *Clients) SetLimits(l *Limits) {
	c.limits.Store(l)
	if l == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		clear(c.uses)
	}
}

// Bound reports whether there are any quotas; of nil clients it may be asked too. It costs
// one load.
func (c *Clients) Bound() bool { return c != nil && c.limits.Load() != nil }

// Bounds reports whether there are quotas of one kind.
func (c *Clients) Bounds(kind Kind) bool { return c.limits.Load().Bounds(kind) }

// Use notes what a client used, and returns how long it is to wait: 0 for not at all.
func (c *Clients) Use(kind Kind, user, clientID string, amount float64, now time.Time) time.Duration {
	who, limit, bounded := c.limits.Load().Of(kind, user, clientID)
	if !bounded {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.find(useKey{kind, who}, now)
	u.rate.record(c.windows, amount, now)
	throttle := u.wait(c.windows, limit, now)
	if kind == Request {
		throttle = min(throttle, c.windows.Size)
	}
	u.note(c.windows, throttle, now)
	return throttle
}

// GiveBack takes back what [Clients.Use] noted and the client did not get.
func (c *Clients) GiveBack(kind Kind, user, clientID string, amount float64, now time.Time) {
	who, _, bounded := c.limits.Load().Of(kind, user, clientID)
	if !bounded {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.find(useKey{kind, who}, now).rate.record(c.windows, -amount, now)
}

// Most is how much a client may use at once: what its quota yields in all windows but
// one. More would make it wait longer than its use is remembered.
func (c *Clients) Most(kind Kind, user, clientID string) (most float64, bounded bool) {
	_, limit, bounded := c.limits.Load().Of(kind, user, clientID)
	return limit * float64(c.windows.Num-1) * c.windows.Size.Seconds(), bounded
}

// Mutate notes that a client creates or deletes so many partitions, and returns how
// long it is to wait. Where strict is set and it has to wait already, it may not, which
// is told by refused; else it may, and is to wait afterwards (KIP-599).
func (c *Clients) Mutate(user, clientID string, partitions int, strict bool, now time.Time) (throttle time.Duration, refused bool) {
	who, limit, bounded := c.limits.Load().Of(ControllerMutation, user, clientID)
	if !bounded {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.find(useKey{ControllerMutation, who}, now)
	u.tokens.fill(c.windows, limit, now)
	if throttle = u.tokens.wait(limit); strict && throttle > 0 {
		u.note(c.windows, throttle, now)
		return throttle, true
	}
	u.tokens.left -= float64(partitions)
	u.rate.record(c.windows, float64(partitions), now)
	if strict {
		return 0, false
	}
	throttle = u.tokens.wait(limit)
	u.note(c.windows, throttle, now)
	return throttle, false
}

// Unmutate takes back what [Clients.Mutate] noted and did not come about.
func (c *Clients) Unmutate(user, clientID string, partitions int, now time.Time) {
	who, limit, bounded := c.limits.Load().Of(ControllerMutation, user, clientID)
	if !bounded {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.find(useKey{ControllerMutation, who}, now)
	u.tokens.fill(c.windows, limit, now)
	u.tokens.left += float64(partitions)
	u.rate.record(c.windows, -float64(partitions), now)
}

// Connect notes that an address connects. Where it does so too often the connection
// does not count and is to be closed, but not before what Connect returns: 0 means
// that it may stay.
func (c *Clients) Connect(ip string, now time.Time) (closeAfter time.Duration) {
	limit, bounded := c.limits.Load().OfAddress(ip)
	if !bounded {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.find(useKey{ConnectionRate, Holder{User: ip}}, now)
	u.rate.record(c.windows, 1, now)
	if closeAfter = min(u.wait(c.windows, limit, now), c.windows.Size); closeAfter > 0 {
		u.rate.record(c.windows, -1, now)
	}
	return closeAfter
}

// find returns what is known of a holder. The caller holds mu.
func (c *Clients) find(key useKey, now time.Time) *use {
	if u := c.uses[key]; u != nil {
		return u
	}
	if len(c.uses) >= c.sweep {
		c.forget(now)
	}
	u := &use{}
	c.uses[key] = u
	return u
}

// forget drops who used nothing for so long that it makes no difference: clients choose
// their ids, and so how many there are. It looks at all, and not again before there are
// twice as many.
func (c *Clients) forget(now time.Time) {
	for key, u := range c.uses {
		if u.rate.idle(c.windows, now) && now.Sub(u.tokens.at) >= c.windows.span() {
			delete(c.uses, key)
		}
	}
	c.sweep = max(firstSweep, 2*len(c.uses))
}

func (u *use) wait(w Windows, limit float64, now time.Time) time.Duration {
	perSecond, over := u.rate.measure(w, now)
	return wait(perSecond, limit, over)
}

// note remembers what the holder was told to wait, for the metrics.
func (u *use) note(w Windows, throttle time.Duration, now time.Time) {
	if throttle > 0 {
		u.throttles.record(w, float64(throttle.Milliseconds()), now)
		u.waits.record(w, 1, now)
	}
}

// State is what one holder uses.
type State struct {
	Kind      Kind
	Who       Holder
	PerSecond float64 // in the unit of the kind
	// Throttle is the mean of the waits that it was told of late, 0 for none.
	Throttle time.Duration
}

// States returns what everybody uses that a quota counts for, connections left out.
func (c *Clients) States(now time.Time) []State {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]State, 0, len(c.uses))
	for key, u := range c.uses {
		if key.kind == ConnectionRate {
			continue
		}
		s := State{Kind: key.kind, Who: key.who}
		s.PerSecond, _ = u.rate.measure(c.windows, now)
		waited, _ := u.throttles.measure(c.windows, now)
		if waits, _ := u.waits.measure(c.windows, now); waits > 0 {
			s.Throttle = time.Duration(waited / waits * float64(time.Millisecond))
		}
		all = append(all, s)
	}
	return all
}
