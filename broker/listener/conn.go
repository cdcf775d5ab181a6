package listener

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// Conn is one client's connection.
type Conn struct {
	Principal security.Principal
	Listener  string // the name of the listener that it came to
	Remote    net.Addr

	listener *Listener
	socket   net.Conn
	sink     sink
	software atomic.Pointer[software]
	busy     atomic.Bool // a request is being read or handled

	// Used by the connection's own goroutine only.
	length  [4]byte
	largest int // the largest frame that it delivered, bytes

	mu sync.Mutex
	// Guarded by mu.
	moved    sync.Cond  // pending shrank, or failed was set
	pending  []*Request // begun and not yet written, in order
	unsent   []Part     // of answers whose turn has come
	writing  bool       // a goroutine is writing unsent
	handling bool       // the connection's own goroutine is in the handler, and looks at unsent afterwards
	failed   error
}

type software struct{ name, version string }

// SetSoftware notes what the client says it is (KIP-511).
func (c *Conn) SetSoftware(name, version string) { c.software.Store(&software{name, version}) }

// Software is what the client said it is, empty where it said nothing.
func (c *Conn) Software() (name, version string) {
	if s := c.software.Load(); s != nil {
		return s.name, s.version
	}
	return "", ""
}

// Host is the client's address without its port.
func (c *Conn) Host() string { return hostOf(c.Remote) }

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// serve reads requests and handles them until the connection ends. It returns
// when every request of the connection is finished.
func (c *Conn) serve() {
	err := c.serveRequests()
	c.fail(err)
	c.mu.Lock()
	for len(c.pending) > 0 || c.writing {
		c.moved.Wait()
	}
	c.mu.Unlock()
}

// serveRequests returns why the connection ends; nil where it ends in order.
func (c *Conn) serveRequests() error {
	for {
		f, err := c.readFrame()
		if err != nil {
			return c.endOfReading(err)
		}
		r, err := c.newRequest(f)
		if err != nil {
			f.release(c.listener.deps.Budget)
			return err
		}
		if !c.begin(r) {
			r.giveUp()
			return nil
		}
		c.handle(r)
		c.writeUnsent()
	}
}

// endOfReading tells the ends that nobody need hear of from the others.
func (c *Conn) endOfReading(err error) error {
	switch {
	case c.listener.isStopping() && (isTimeout(err) || errors.Is(err, net.ErrClosed)):
		c.waitAnswered()
		return nil
	case errors.Is(err, io.EOF):
		c.waitAnswered()
		return nil
	case isTimeout(err) && !c.busy.Load():
		return nil // idle for too long
	}
	return err
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// waitAnswered waits until every pending request is answered.
func (c *Conn) waitAnswered() {
	c.mu.Lock()
	for (len(c.pending) > 0 || c.writing) && c.failed == nil {
		c.moved.Wait()
	}
	c.mu.Unlock()
}

func (c *Conn) newRequest(f frame) (*Request, error) {
	h, body, err := protocol.ParseHeader(f.bytes)
	if err != nil {
		return nil, err
	}
	r := &Request{
		Key: h.Key, Version: h.Version, CorrelationID: h.CorrelationID, ClientID: h.ClientID,
		Body: body, Conn: c, Received: time.Now(), frame: f,
	}
	r.overlaps = c.listener.deps.Handler.Overlaps(h.Key)
	r.holders.Store(2)
	return r, nil
}

// begin waits until the order of the connection lets r start. It reports false
// where the connection failed meanwhile.
func (c *Conn) begin(r *Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.failed == nil && !c.mayStart(r) {
		c.moved.Wait()
	}
	if c.failed != nil {
		return false
	}
	c.pending = append(c.pending, r)
	c.handling = true
	return true
}

// mayStart holds the rule of order. The caller holds mu.
func (c *Conn) mayStart(r *Request) bool {
	if len(c.pending) == 0 {
		return true
	}
	if !r.overlaps || len(c.pending) >= c.listener.config.MaxInFlight {
		return false
	}
	for _, p := range c.pending {
		if !p.overlaps {
			return false
		}
	}
	return true
}

// handle calls the handler. Its panic ends this connection and nothing else.
func (c *Conn) handle(r *Request) {
	defer r.letGo()
	defer func() {
		if p := recover(); p != nil {
			c.listener.deps.Observe.Panicked()
			c.listener.deps.Logger.Error("a request made the broker panic; its connection is closed",
				"client", c.Remote, "api", r.Key, "version", r.Version, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			c.fail(fmt.Errorf("panic: %v", p))
			if r.finished.CompareAndSwap(false, true) {
				c.answer(r, nil)
			}
		}
	}()
	c.listener.deps.Handler.Handle(r)
}

// fail ends the connection: what is pending is finished without being sent. The
// first why counts, and is logged; nil is an end in order.
func (c *Conn) fail(why error) {
	c.mu.Lock()
	if c.failed != nil {
		c.mu.Unlock()
		return
	}
	c.failed = net.ErrClosed
	if why != nil {
		c.failed = why
	}
	unsent := c.unsent
	if !c.writing {
		c.unsent = nil
	} else {
		unsent = nil // the writer releases them
	}
	c.moved.Broadcast()
	c.mu.Unlock()
	release(unsent)
	c.socket.Close()
	if why != nil {
		name, version := c.Software()
		c.listener.logClosed(c, why, name, version)
	}
}

// pendingAny reports whether an answer is still owed.
func (c *Conn) pendingAny() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) > 0
}

// setIdleDeadline lets the next read wait so long. A listener that stops has set
// a deadline in the past, which must not be moved.
func (c *Conn) setIdleDeadline(wait time.Duration) error {
	deadline := time.Time{}
	if wait > 0 {
		deadline = time.Now().Add(wait)
	}
	if err := c.socket.SetReadDeadline(deadline); err != nil {
		return err
	}
	if c.listener.isStopping() {
		return errors.Join(os.ErrDeadlineExceeded, context.Canceled)
	}
	return nil
}
