package listener

import (
	"errors"
	"log/slog"
	"time"

	"github.com/klamm-io/klamm/security/sasl"
)

// Config bounds what the clients of one listener may do. A zero field takes the
// default named with it.
type Config struct {
	// Name is the listener's name, "PLAINTEXT".
	Name string
	// Addr is the TCP address to bind, "127.0.0.1:9092"; port 0 takes a free one.
	Addr string

	// MaxRequestBytes bounds a request's frame: socket.request.max.bytes, 100 MiB.
	MaxRequestBytes int
	// MaxUnknownRequestBytes bounds the first frame of a connection, before the
	// client has shown that it speaks Kafka's protocol; 1 MiB.
	MaxUnknownRequestBytes int
	// MaxInFlight bounds the requests of one connection that are begun and not yet
	// answered; 64.
	MaxInFlight int
	// MaxConnections bounds the open connections, those of one address
	// MaxConnectionsPerIP; no bound.
	MaxConnections, MaxConnectionsPerIP int
	// MaxConnectionsOf counts in place of MaxConnectionsPerIP, by address; 0 is none.
	MaxConnectionsOf map[string]int

	// SendBufferBytes is how much of its answers the kernel takes that a client has not
	// read yet; 0 leaves that to the system, which takes up to some MiB. What a client on
	// the same machine reads late is in no processor's cache any more, so less is faster.
	SendBufferBytes int

	// IdleTimeout is how long a connection may be silent: connections.max.idle.ms,
	// 10 minutes.
	IdleTimeout time.Duration
	// SlowTimeout is how long the client may take to send what it began or to take
	// an answer, for each MiB begun; 30 s. A request waits as long for memory.
	SlowTimeout time.Duration
	// HandshakeTimeout is how long a TLS handshake may take; 10 s.
	HandshakeTimeout time.Duration
	// MaxHandshakes bounds the TLS handshakes that are under way at once, and with them
	// the memory that those may take who have proved nothing yet; 256. Others wait.
	MaxHandshakes int
	// StopTimeout is how long pending requests may take when the listener stops; 10 s.
	StopTimeout time.Duration
}

// Deps is what a listener works with.
type Deps struct {
	Handler Handler
	Budget  *Budget      // shared by the listeners of a broker
	Logger  *slog.Logger // nil: slog.Default()
	Metrics Metrics      // nil: nothing is counted
	// TLS, if not nil, is by what connections are secured.
	TLS *TLS
	// SASL, if not nil, is how clients say who they are. The handler leads each
	// connection's conversation.
	SASL *sasl.Server
	// Pace, if not nil, bounds how often clients connect.
	Pace Pace
	// Known, if not nil, hears which clients have proved by TLS who they are, and, with why,
	// which have proved nothing by TLS or SASL. It is called on any goroutine, and is fast.
	Known func(c *Conn, protocol string, why error)
}

// Pace bounds how often clients connect. Its methods are safe for concurrent use.
type Pace interface {
	// Wait notes a connection to the listener of that name, and returns how long it is
	// to be served later: 0 for not at all.
	Wait(listener string) time.Duration
	// CloseAfter notes that an address connects. Where it does so too often it returns
	// when the connection is to be closed, without having been served: 0 for not at all.
	CloseAfter(host string) time.Duration
}

// Metrics counts what happens to connections. Its methods are safe for
// concurrent use and fast.
type Metrics interface {
	ConnectionOpened()
	// ConnectionClosed notes the end of an opened connection, with one word for why:
	// client, idle, slow, malformed, oversized, memory, panic, handler, file, tls, sasl or stop.
	ConnectionClosed(reason string)
	// ConnectionRefused notes a connection that was not served: connections,
	// connections_per_ip or connection_rate, after the limit that was reached.
	ConnectionRefused(reason string)
	Answered(Served)
	Panicked()
}

type uncounted struct{}

func (uncounted) ConnectionOpened()        {}
func (uncounted) ConnectionClosed(string)  {}
func (uncounted) ConnectionRefused(string) {}
func (uncounted) Answered(Served)          {}
func (uncounted) Panicked()                {}

func (c Config) withDefaults() Config {
	setDefault(&c.MaxRequestBytes, 100<<20)
	setDefault(&c.MaxUnknownRequestBytes, 1<<20)
	setDefault(&c.MaxInFlight, 64)
	setDefault(&c.IdleTimeout, 10*time.Minute)
	setDefault(&c.SlowTimeout, 30*time.Second)
	setDefault(&c.HandshakeTimeout, 10*time.Second)
	setDefault(&c.MaxHandshakes, 256)
	setDefault(&c.StopTimeout, 10*time.Second)
	c.MaxUnknownRequestBytes = min(c.MaxUnknownRequestBytes, c.MaxRequestBytes)
	return c
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// allowance is the time in which n bytes must pass.
func (c *Config) allowance(n int) time.Duration {
	return c.SlowTimeout * time.Duration(1+n>>20)
}

func (d Deps) checked() (Deps, error) {
	if d.Handler == nil || d.Budget == nil {
		return d, errors.New("a listener needs a handler and a memory budget")
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Metrics == nil {
		d.Metrics = uncounted{}
	}
	return d, nil
}
