package listener

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klamm-io/klamm/security"
)

// Handler serves requests.
type Handler interface {
	// Handle serves one request, on its connection's goroutine. It may return
	// before the request is finished.
	Handle(*Request)
	// Overlaps reports whether requests of that API may be pending several at a
	// time on one connection.
	Overlaps(key int16) bool
}

// Observer hears of what monitors want to know. It is called from any goroutine
// and must not block.
type Observer interface {
	Opened()
	Closed()
	Panicked()
	// Answered tells that a request is finished, and how long after it was read.
	Answered(key, version int16, took time.Duration)
}

// Config is how a listener behaves. Sizes are in bytes; a limit of zero is none.
type Config struct {
	Name string // as in listeners: PLAINTEXT
	Addr string // host:port to bind

	MaxRequestBytes        int // socket.request.max.bytes
	MaxUnknownRequestBytes int // of a connection's first request
	MaxInFlight            int // overlapping requests of one connection
	MaxConnections         int // max.connections
	MaxConnectionsPerIP    int // max.connections.per.ip
	IdleTimeout            time.Duration
	SlowTimeout            time.Duration // for a frame to arrive, and an answer to be taken; large ones get more
	StopTimeout            time.Duration // for pending requests, when the listener stops
}

// Deps is what a listener uses.
type Deps struct {
	Handler Handler
	Budget  *Budget // shared by all listeners of the broker
	Logger  *slog.Logger
	Observe Observer
}

// Listener accepts connections at one address.
type Listener struct {
	config   Config
	deps     Deps
	socket   net.Listener
	stopping atomic.Bool
	refusals complaint
	closings complaint

	mu sync.Mutex
	// Guarded by mu.
	conns map[*Conn]struct{}
	perIP map[string]int
}

// Listen binds the address, so that clients can connect; they are served once
// Run is called.
func Listen(c Config, deps Deps) (*Listener, error) {
	socket, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; another broker may be running there, name another address with listeners", c.Addr, err)
	}
	return &Listener{config: c, deps: deps, socket: socket, conns: map[*Conn]struct{}{}, perIP: map[string]int{}}, nil
}

// Addr is the address that is bound.
func (l *Listener) Addr() net.Addr { return l.socket.Addr() }

// Close gives the address up, for a listener that Run is not called for.
func (l *Listener) Close() error { return l.socket.Close() }

// Run serves clients until ctx ends. Then it accepts no more, lets what was begun
// be answered, hangs up, and returns when all its connections have ended.
func (l *Listener) Run(ctx context.Context) error {
	var conns sync.WaitGroup
	stopped := context.AfterFunc(ctx, func() {
		l.stopping.Store(true)
		l.socket.Close()
		l.interruptIdle()
	})
	defer stopped()
	err := l.accept(&conns)
	force := time.AfterFunc(l.config.StopTimeout, l.closeAll)
	conns.Wait()
	force.Stop()
	return err
}

// accept returns when the listener stops, or when the system gives no more
// connections at all.
func (l *Listener) accept(conns *sync.WaitGroup) error {
	for {
		socket, err := l.socket.Accept()
		switch {
		case l.isStopping():
			if err == nil {
				socket.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		case err != nil:
			// Out of descriptors, or the client gave up: the next may do better.
			l.refusals.log(l.deps.Logger, "a connection could not be accepted", "err", err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if c := l.admit(socket); c != nil {
			conns.Go(func() {
				defer l.forget(c)
				c.serve()
			})
		}
	}
}

// admit makes a connection of socket, or closes it where there are too many.
func (l *Listener) admit(socket net.Conn) *Conn {
	host := hostOf(socket.RemoteAddr())
	l.mu.Lock()
	tooMany := over(len(l.conns), l.config.MaxConnections) || over(l.perIP[host], l.config.MaxConnectionsPerIP)
	if tooMany {
		l.mu.Unlock()
		socket.Close()
		l.refusals.log(l.deps.Logger, "too many connections; raise max.connections or max.connections.per.ip", "client", socket.RemoteAddr())
		return nil
	}
	c := &Conn{Principal: security.Anonymous, Listener: l.config.Name, Remote: socket.RemoteAddr(), listener: l, socket: socket, sink: newSink(socket)}
	c.moved.L = &c.mu
	l.conns[c] = struct{}{}
	l.perIP[host]++
	l.mu.Unlock()
	l.deps.Observe.Opened()
	return c
}

func over(count, limit int) bool { return limit > 0 && count >= limit }

func (l *Listener) forget(c *Conn) {
	host := c.Host()
	l.mu.Lock()
	delete(l.conns, c)
	if l.perIP[host]--; l.perIP[host] == 0 {
		delete(l.perIP, host)
	}
	l.mu.Unlock()
	l.deps.Observe.Closed()
}

func (l *Listener) isStopping() bool { return l.stopping.Load() }

// interruptIdle ends the wait of every connection for its next request.
func (l *Listener) interruptIdle() {
	for _, c := range l.all() {
		if !c.busy.Load() {
			c.socket.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

func (l *Listener) closeAll() {
	for _, c := range l.all() {
		c.fail(errors.New("the broker stops, and a request took too long"))
	}
}

func (l *Listener) all() []*Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*Conn, 0, len(l.conns))
	for c := range l.conns {
		all = append(all, c)
	}
	return all
}

// slow is how long a transfer of so many bytes may take.
func (l *Listener) slow(size int) time.Duration {
	return l.config.SlowTimeout + time.Duration(size/slowestRate)*time.Second
}

// logClosed says why a connection was closed, but not more often than is of use.
func (l *Listener) logClosed(c *Conn, why error, name, version string) {
	l.closings.log(l.deps.Logger, "a connection is closed", "client", c.Remote, "software", name, "software_version", version, "err", why)
}
