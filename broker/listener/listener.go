package listener

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Handler serves requests.
type Handler interface {
	// Handle serves one request, on its connection's goroutine. It may return
	// before the request is finished. While it runs, the connection is not read.
	Handle(*Request)
	// Overlaps reports whether requests of that API may be pending several at a
	// time on one connection.
	Overlaps(key int16) bool
}

// Listener accepts connections at one address.
type Listener struct {
	config   Config
	deps     Deps
	socket   net.Listener
	stopOnce sync.Once
	stopping atomic.Bool   // set before any wait is interrupted
	stopped  chan struct{} // closed with it
	refusals complaint
	closings complaint
	shaking  chan struct{} // has one for each TLS handshake that is under way
	held     chan struct{} // has one for each connection that is closed later

	mu sync.Mutex
	// Guarded by mu.
	conns map[*Conn]struct{}
	perIP map[string]int
}

// Listen binds the address, so that clients can connect; they are served once
// Run is called.
func Listen(c Config, deps Deps) (*Listener, error) {
	deps, err := deps.checked()
	if err != nil {
		return nil, err
	}
	// Go sets TCP_NODELAY and keeps connections alive by itself.
	socket, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; another broker may be running there, name another address with listeners", c.Addr, err)
	}
	return newListener(socket, c, deps), nil
}

func newListener(socket net.Listener, c Config, deps Deps) *Listener {
	c = c.withDefaults()
	return &Listener{
		config: c, deps: deps, socket: socket, stopped: make(chan struct{}), shaking: make(chan struct{}, c.MaxHandshakes), held: make(chan struct{}, maxHeld),
		conns: map[*Conn]struct{}{}, perIP: map[string]int{},
	}
}

// Addr is the address that is bound.
func (l *Listener) Addr() net.Addr { return l.socket.Addr() }

// Close gives the address up, for a listener that Run is not called for.
func (l *Listener) Close() error { return l.socket.Close() }

// Run serves clients until ctx ends. Then it accepts no more, lets what was begun
// be answered, hangs up, and returns when all its goroutines have ended. For a
// handler that does not return it waits without end.
func (l *Listener) Run(ctx context.Context) error {
	detach := context.AfterFunc(ctx, l.stop)
	defer detach()
	var conns sync.WaitGroup
	err := l.accept(&conns)
	l.stop()
	force := time.AfterFunc(l.config.StopTimeout, l.closeAll)
	defer force.Stop()
	conns.Wait()
	return err
}

// stop ends the waits for new connections, for requests and for memory.
func (l *Listener) stop() {
	l.stopOnce.Do(func() {
		l.stopping.Store(true)
		close(l.stopped)
		l.socket.Close()
		for _, c := range l.all() {
			c.socket.SetReadDeadline(time.Unix(1, 0))
			c.wake() // who is muted
		}
	})
}

// accept returns when the listener stops, or when the system gives no more
// connections at all.
func (l *Listener) accept(conns *sync.WaitGroup) error {
	for {
		socket, err := l.socket.Accept()
		switch {
		case l.stopping.Load():
			if err == nil {
				reset(socket)
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
		if !l.awaitPace() {
			socket.Close()
			continue
		}
		if l.tooOften(socket, conns) {
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

func (l *Listener) forget(c *Conn) {
	host := c.Host()
	l.mu.Lock()
	delete(l.conns, c)
	if l.perIP[host]--; l.perIP[host] == 0 {
		delete(l.perIP, host)
	}
	l.mu.Unlock()
}

func (l *Listener) closeAll() {
	for _, c := range l.all() {
		plain(c.socket).Close() // first, or TLS's last word is waited for
		c.shut(ending{"stop", errors.New("a request took too long for the broker that stops")})
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

// known tells who wants to know of authentications.
func (l *Listener) known(c *Conn, protocol string, why error) {
	if l.deps.Known != nil {
		l.deps.Known(c, protocol, why)
	}
}

// ended counts and logs the end of a connection, the log not more often than is
// of use.
func (l *Listener) ended(c *Conn, why ending) {
	l.deps.Metrics.ConnectionClosed(why.reason)
	if why.reason == "tls" || why.reason == "sasl" {
		l.known(c, strings.ToUpper(why.reason), why.err)
	}
	name, version := c.Software()
	args := []any{"listener", l.config.Name, "client", c.Remote, "software", name, "software_version", version, "reason", why.reason, "err", why.err}
	if why.level() == slog.LevelWarn {
		l.closings.log(l.deps.Logger, "a connection is closed", args...)
		return
	}
	l.deps.Logger.Debug("a connection is closed", args...)
}
