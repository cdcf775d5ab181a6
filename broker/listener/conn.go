package listener

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/sasl"
)

// Conn is one client's connection.
type Conn struct {
	// Number is greater than that of every connection that this process took before.
	Number    uint64
	Principal security.Principal
	Listener  string // the name of the listener that it came to
	// Claim is the node that the other end says it is. It counts for nothing until the
	// handler has found it true, and belongs to it.
	Claim  *NodeClaim
	Remote net.Addr
	// SASL is how the client says who it is, nil where it need not. It belongs to the
	// handler, on the connection's own goroutine.
	SASL *sasl.Conversation

	listener *Listener
	socket   net.Conn
	raw      syscall.RawConn // nil where answers cannot be tried without waiting
	host     string
	software atomic.Pointer[software]
	// mutedUntil is in nanoseconds of Unix time; 0: it may be read.
	mutedUntil atomic.Int64

	// Used by the connection's own goroutine only.
	ahead     ahead
	spoken    bool      // a request was understood
	asked     bool      // a request for something, not only for versions
	believed  int       // how far the next frame's length is, bytes
	idleSince time.Time // when the read deadline was last moved; zero: it is no idle one
	refused   *ending   // the handler does without the client
	postponed postponed

	mu sync.Mutex
	// Guarded by mu.
	changed  sync.Cond // the queue moved on, or the connection was closed
	queue    queue
	writing  bool    // a writer is at work
	handling bool    // the connection's own goroutine is in the handler, and looks at left afterwards
	left     *writer // is to be finished by it
	closed   bool
}

// NodeClaim is what a node says of itself.
type NodeClaim struct {
	ID          int32
	Incarnation [16]byte
}

type software struct{ name, version string }

// ending is why a connection ends: one word for the metrics, and what the log
// says. Each is an error so that it can be returned.
type ending struct {
	reason string
	err    error
}

func (e ending) Error() string { return fmt.Sprintf("%s: %v", e.reason, e.err) }
func (e ending) Unwrap() error { return e.err }

// level is for the log: what happens every day is not of interest.
func (e ending) level() slog.Level {
	switch e.reason {
	case "client", "idle", "stop", "panic": // a panic was logged with its stack
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

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
func (c *Conn) Host() string { return c.host }

// taken counts the connections of this process.
var taken atomic.Uint64

// NewestConnection is the greatest number that a connection was given, 0 for none.
func NewestConnection() uint64 { return taken.Load() }

func newConn(l *Listener, socket net.Conn, host string) *Conn {
	if tcp, ok := socket.(*net.TCPConn); ok && l.config.SendBufferBytes > 0 {
		_ = tcp.SetWriteBuffer(l.config.SendBufferBytes) // a socket that is broken tells its reader
	}
	if l.deps.TLS != nil {
		socket = secure(socket, l.deps.TLS.Config)
	}
	c := &Conn{
		Number:    taken.Add(1),
		Principal: security.Anonymous,
		Listener:  l.config.Name,
		Remote:    socket.RemoteAddr(),
		listener:  l,
		socket:    socket,
		raw:       descriptor(socket),
		host:      host,
		believed:  believedLeast,
	}
	c.changed.L = &c.mu
	if l.deps.SASL != nil {
		c.SASL = l.deps.SASL.Converse()
	}
	return c
}

// serve reads requests and handles them until the connection ends. It returns
// when nobody works for the connection any more.
func (c *Conn) serve() {
	why := c.shakeHands()
	if why == nil {
		end := c.serveRequests()
		why = &end
	}
	c.end(*why)
}

// end lets go of the connection once nobody works for it any more.
func (c *Conn) end(why ending) {
	if why.reason == "stop" || why.reason == "sasl" || errors.Is(why.err, io.EOF) {
		// What was begun is answered; a client may also end what it sends and read on.
		c.await(func() bool { return c.queue.pending == 0 })
	}
	if why.reason == "stop" && !c.asked {
		reset(c.socket)
	}
	c.shut(why)
	c.mu.Lock()
	for c.writing {
		c.changed.Wait()
	}
	c.mu.Unlock()
}

// reset makes a connection's close an error for its client. A client that is hung
// up on in order at its first request, or at the first after ApiVersions, may take
// that for a broker that wants TLS or SASL, and give up; after an error it tries
// again. What was sent last may be lost, so it is only for who asked for nothing yet.
func reset(socket net.Conn) {
	if tcp, ok := plain(socket).(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a socket that is broken already ends with an error anyway
	}
}

// serveRequests returns why the connection ends.
func (c *Conn) serveRequests() ending {
	defer c.doPostponed()
	for {
		if !c.await(func() bool { return c.queue.mayRead(c.listener.config.MaxInFlight) }) {
			return ending{"stop", nil}
		}
		if !c.awaitUnmuted() {
			return ending{"stop", nil}
		}
		frame, err := c.readFrame()
		if err != nil {
			return endingOf(err)
		}
		r, err := c.newRequest(frame)
		if err != nil {
			c.listener.discard(frame)
			return ending{"malformed", err}
		}
		if !c.begin(r) {
			c.listener.discard(frame)
			return ending{"stop", nil}
		}
		size := len(frame.b) // the handler may give it back
		c.handle(r)
		c.returned(r)
		c.boundPostponed(size)
		if c.refused != nil {
			return *c.refused
		}
	}
}

// Refuse ends the connection once the request that is handled now, and all before it,
// are answered: its client has not said who it is. Only the handler may call it, on
// the connection's own goroutine.
func (c *Conn) Refuse(why error) { c.refused = &ending{"sasl", why} }

func endingOf(err error) ending {
	var why ending
	if errors.As(err, &why) {
		return why
	}
	return ending{"client", err}
}

func (c *Conn) newRequest(frame *buffer) (*Request, error) {
	if c.SASL != nil && c.SASL.Bare() {
		return c.newToken(frame), nil
	}
	h, body, err := protocol.ParseHeader(frame.b)
	if err != nil {
		return nil, err
	}
	c.spoken = true
	c.asked = c.asked || h.Key != int16(kmsg.ApiVersions)
	r := &Request{
		Key: h.Key, Version: h.Version, CorrelationID: h.CorrelationID, ClientID: h.ClientID,
		Body: body, Conn: c, Size: len(frame.b), Received: time.Now(),
		overlaps: c.listener.deps.Handler.Overlaps(h.Key),
	}
	r.hold(frame)
	return r, nil
}

// newToken is a request without a header, as SASL's tokens are after a handshake of
// version 0.
func (c *Conn) newToken(frame *buffer) *Request {
	r := &Request{Key: int16(kmsg.SASLAuthenticate), Bare: true, Body: frame.b, Conn: c, Received: time.Now()}
	r.hold(frame)
	return r
}

// pending reports whether an answer is still owed.
func (c *Conn) pending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue.pending > 0
}

// handle calls the handler. Its panic ends this connection and nothing else.
func (c *Conn) handle(r *Request) {
	defer func() {
		if p := recover(); p != nil {
			c.panicked("handle "+protocol.NameOf(r.Key), p)
			r.abandonBody()
			c.shut(ending{"panic", nil})
		}
	}()
	c.listener.deps.Handler.Handle(r)
	r.letGo()
}

// panicked counts and logs a panic; it is called while the stack is still there.
func (c *Conn) panicked(doing string, p any) {
	c.listener.deps.Metrics.Panicked()
	c.listener.deps.Logger.Error("the broker panicked and closes the connection",
		"doing", doing, "client", c.Remote, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// shut closes the connection: what is pending is finished without being sent. The
// first why counts and is logged.
func (c *Conn) shut(why ending) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	dropped := c.dropQueue()
	c.changed.Broadcast()
	c.mu.Unlock()
	if why.reason == "slow" || why.reason == "tls" {
		plain(c.socket).Close() // there may be no room for TLS's last word
	}
	c.socket.Close()
	releaseReady(dropped)
	c.listener.ended(c, why)
}
