package listener

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/klamm-io/klamm/security"
)

// TLS is by what the connections of a listener are secured.
type TLS struct {
	Config *tls.Config
	// Principal is who a client is, by what the handshake has proved.
	Principal func(tls.ConnectionState) (security.Principal, error)
}

// What a TLS connection begins with: a record of a handshake, of version 3.x.
const (
	tlsHandshake = 0x16
	tlsMajor     = 0x03
)

// stageSize is what a writer of a TLS connection collects: the most that a record holds.
const stageSize = 16 << 10

// begun is a socket below TLS whose first byte may be awaited before it is read.
type begun struct {
	net.Conn
	first []byte // read and not handed on yet
}

func (b *begun) await() error {
	first := make([]byte, 1)
	n, err := b.Conn.Read(first)
	b.first = first[:n]
	return err
}

func (b *begun) Read(dst []byte) (int, error) {
	if len(b.first) > 0 {
		n := copy(dst, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(dst)
}

// secure makes a socket the server's end of a TLS connection.
func secure(socket net.Conn, config *tls.Config) *tls.Conn {
	return tls.Server(&begun{Conn: socket}, config)
}

// plain is the socket below TLS, or the socket itself.
func plain(socket net.Conn) net.Conn {
	if secured, is := socket.(*tls.Conn); is {
		return secured.NetConn().(*begun).Conn
	}
	return socket
}

// shakeHands secures the connection, if it is to be, and finds out who the client
// is. It returns why there is nothing to serve, or nil.
func (c *Conn) shakeHands() *ending {
	socket, secured := c.socket.(*tls.Conn)
	if !secured {
		return nil
	}
	_ = socket.SetDeadline(time.Now().Add(c.listener.config.HandshakeTimeout))
	// A stop sets a deadline in the past, see read.
	if c.listener.stopping.Load() {
		return &ending{"stop", nil}
	}
	// Who sends nothing does not take a turn from others.
	if err := socket.NetConn().(*begun).await(); err != nil {
		return c.unshaken(err)
	}
	if !c.listener.beginShaking() {
		return &ending{"stop", nil}
	}
	err := socket.Handshake()
	c.listener.endShaking()
	if err != nil {
		return c.unshaken(err)
	}
	_ = socket.SetDeadline(time.Time{})
	if c.SASL != nil {
		return nil // whatever certificate it has
	}
	principal, err := c.listener.deps.TLS.Principal(socket.ConnectionState())
	if err != nil {
		return &ending{"tls", err}
	}
	c.Principal = principal
	if principal != security.Anonymous {
		c.listener.known(c, "TLS", nil)
	}
	return nil
}

// unshaken says why a handshake came to nothing.
func (c *Conn) unshaken(err error) *ending {
	var header tls.RecordHeaderError
	var network *net.OpError
	switch {
	case c.listener.stopping.Load():
		return &ending{"stop", nil}
	case errors.Is(err, io.EOF):
		return &ending{"client", err} // who only looks whether somebody listens
	case errors.As(err, &header):
		err = errors.New("the client does not speak TLS, which this listener asks for; it wants security.protocol=SSL or SASL_SSL, or another listener")
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("the TLS handshake did not end in %s", c.listener.config.HandshakeTimeout)
	case errors.As(err, &network) && network.Op == "remote error":
		err = fmt.Errorf("the client ends the TLS handshake, for it does not take this broker's certificate or has none that is taken: %w", err)
	default:
		err = fmt.Errorf("TLS handshake: %w", err)
	}
	return &ending{"tls", err}
}

// beginShaking waits for a turn, and reports false when the listener stops.
func (l *Listener) beginShaking() bool {
	select {
	case l.shaking <- struct{}{}:
		return true
	case <-l.stopped:
		return false
	}
}

func (l *Listener) endShaking() { <-l.shaking }

// throughStage sends all of the batch on a connection that is no plain socket. What is
// small is collected, for each write is a record of TLS and a system call.
func (w *writer) throughStage() {
	stage := getBuffer(stageSize)
	defer stage.put()
	for w.load() {
		piece := w.vector[0]
		if len(piece) < stageSize && len(w.vector) > 1 {
			piece = stage.b[:w.collect(stage.b)]
		}
		n, err := w.conn.socket.Write(piece)
		w.sent(n)
		w.err = err
	}
}

// collect copies as much of vector as dst has room for.
func (w *writer) collect(dst []byte) (n int) {
	for _, piece := range w.vector {
		if n += copy(dst[n:], piece); n == len(dst) {
			break
		}
	}
	return n
}
