package listener

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Meter says how long a client is to wait before it is read again, by what its request
// took.
type Meter interface {
	// Throttle is asked once, when the request is answered, with how long it was worked
	// on. It may be called on any goroutine.
	Throttle(busy time.Duration) time.Duration
}

// throttle tells the client in its answer how long it is to wait, and mutes it for that
// long (KIP-219): who does not wait finds that nobody reads.
func (r *Request) throttle(msg kmsg.Response) {
	d := r.Throttle()
	if told, may := msg.(kmsg.SetThrottleResponse); may && d > 0 {
		told.SetThrottle(int32(d.Milliseconds()))
	}
}

// Throttle asks the meter, for an answer that is no message, and mutes the connection.
// It returns for how long, 0 for not at all.
func (r *Request) Throttle() time.Duration {
	if r.Meter == nil {
		return 0
	}
	d := r.Meter.Throttle(r.busy())
	r.Mute(d)
	return d
}

// busy is how long the request's handler has worked on it.
func (r *Request) busy() time.Duration {
	r.Conn.mu.Lock()
	defer r.Conn.mu.Unlock()
	until := r.clock.returned
	if until.IsZero() {
		until = time.Now()
	}
	return until.Sub(r.clock.began) - r.clock.waited
}

// Mute has the connection not be read before d has passed. It is called before the
// request is finished; a request that may overlap with others is muted between them.
func (r *Request) Mute(d time.Duration) {
	if d <= 0 {
		return
	}
	c := r.Conn
	until := time.Now().Add(d).UnixNano()
	for {
		now := c.mutedUntil.Load()
		if until <= now || c.mutedUntil.CompareAndSwap(now, until) {
			return
		}
	}
}

// awaitUnmuted waits until the connection may be read. It reports false where it is
// closed, or where the listener stops.
func (c *Conn) awaitUnmuted() bool {
	if c.mutedUntil.Load() == 0 {
		return true
	}
	c.doPostponed()
	wake := time.AfterFunc(0, c.wake)
	defer wake.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		left := time.Until(time.Unix(0, c.mutedUntil.Load()))
		switch {
		case c.closed || c.listener.stopping.Load():
			return false
		case left <= 0:
			c.mutedUntil.Store(0)
			c.idleSince = time.Time{} // it was not the client that was silent
			return true
		}
		wake.Reset(left)
		c.changed.Wait()
	}
}

// wake has who waits for the connection to change look again.
func (c *Conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed.Broadcast()
}
