package listener

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klamm-io/klamm/protocol"
)

const (
	lengthSize = 4
	// aheadSize is what a connection reads before it has memory for a request. Several
	// small requests that a client sent together fit, and take one system call.
	aheadSize = 2 << 10
	// believedLeast is how far a length is believed before its bytes are there.
	believedLeast = 64 << 10
	// believedMost is how far it is believed of a client that sent as much before.
	believedMost = 4 << 20
)

// ahead holds bytes that were read before it was known what they are.
type ahead struct {
	bytes    [aheadSize]byte
	from, to int
}

func (a *ahead) len() int { return a.to - a.from }

func (a *ahead) take(dst []byte) int {
	n := copy(dst, a.bytes[a.from:a.to])
	a.from += n
	return n
}

// readFrame waits for a request and reads it whole. While it waits, the
// connection holds no buffer. The caller owns the buffer's memory and lease.
func (c *Conn) readFrame() (*buffer, error) {
	if err := c.awaitByte(); err != nil {
		return nil, err
	}
	size, err := c.readSize()
	if err != nil {
		return nil, err
	}
	buf, err := c.readBody(size)
	if err != nil {
		c.listener.discard(buf)
		return nil, err
	}
	c.believed = min(max(c.believed, size), believedMost)
	return buf, nil
}

// awaitByte waits for the first byte of a frame. Time in which answers are
// pending is not idle.
func (c *Conn) awaitByte() error {
	for c.ahead.len() == 0 {
		c.allowIdle()
		err := c.readAhead()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && c.pending():
			c.idleSince = time.Time{}
		case errors.Is(err, os.ErrDeadlineExceeded):
			return ending{"idle", fmt.Errorf("no request in %s", c.listener.config.IdleTimeout)}
		case err != nil:
			return err
		}
	}
	return nil
}

// allowIdle moves the read deadline. A client that is busy has it moved now and
// then, not at every request: it may be silent a sixteenth less than IdleTimeout.
func (c *Conn) allowIdle() {
	idle := c.listener.config.IdleTimeout
	now := time.Now()
	if now.Sub(c.idleSince) > idle/16 {
		c.idleSince = now
		c.socket.SetReadDeadline(now.Add(idle))
	}
}

// allow gives the client time to send n bytes that it has begun.
func (c *Conn) allow(n int) {
	c.idleSince = time.Time{}
	c.socket.SetReadDeadline(time.Now().Add(c.listener.config.allowance(n)))
}

// readSize reads the length of the frame whose first byte is there, and checks it.
func (c *Conn) readSize() (int, error) {
	if c.ahead.len() < lengthSize {
		c.allow(lengthSize)
	}
	for c.ahead.len() < lengthSize {
		if err := c.readAhead(); err != nil {
			return 0, inFrame(err)
		}
	}
	var length [lengthSize]byte
	c.ahead.take(length[:])
	size := int(int32(binary.BigEndian.Uint32(length[:])))
	least, limit := c.frameLimits()
	switch {
	case size > limit && !c.spoken && length[0] == tlsHandshake && length[1] == tlsMajor:
		return 0, ending{"malformed", fmt.Errorf("the client begins with a TLS handshake, and the listener %s is one without TLS; "+
			"the client wants another listener, or its security.protocol without SSL", c.Listener)}
	case size < least:
		return 0, ending{"malformed", fmt.Errorf("a frame of %d bytes, a request has at least %d", size, least)}
	case size > limit:
		return 0, ending{"oversized", fmt.Errorf("a frame of %d bytes, at most %d are taken", size, limit)}
	}
	return size, nil
}

// frameLimits are how small and how large a frame may be. Who has still to say who he
// is may send less than others.
func (c *Conn) frameLimits() (least, most int) {
	config := &c.listener.config
	least, most = protocol.HeaderSize, config.MaxRequestBytes
	if !c.spoken {
		most = config.MaxUnknownRequestBytes
	}
	if c.SASL == nil || c.SASL.Known() {
		return least, most
	}
	if c.SASL.Bare() {
		least = 0
	}
	return least, min(most, c.SASL.MaxReceive())
}

// readBody reads size bytes into memory that grows with what arrives. After an
// error it returns what is to be discarded.
func (c *Conn) readBody(size int) (*buffer, error) {
	buf, err := c.lease(min(size, c.believed))
	if err != nil {
		return nil, err
	}
	got := c.ahead.take(buf.b)
	for got < size {
		if got == len(buf.b) {
			if buf, err = c.enlarge(buf, min(size, 2*got)); err != nil {
				return buf, err
			}
		}
		c.allow(len(buf.b) - got)
		for got < len(buf.b) {
			n, err := c.read(buf.b[got:])
			if err != nil {
				return buf, inFrame(err)
			}
			got += n
		}
	}
	return buf, nil
}

func (c *Conn) readAhead() error {
	a := &c.ahead
	a.to = copy(a.bytes[:], a.bytes[a.from:a.to])
	a.from = 0
	n, err := c.read(a.bytes[a.to:])
	a.to += n
	return err
}

// read reads some bytes, or says why there are no more.
func (c *Conn) read(dst []byte) (int, error) {
	// A stop sets a deadline in the past, which allow may have moved: so the flag,
	// which was set before, is looked at after.
	if c.listener.stopping.Load() {
		return 0, ending{"stop", nil}
	}
	n, err := c.receive(dst)
	switch {
	case n > 0 || err == nil:
		return n, nil
	case c.listener.stopping.Load():
		return 0, ending{"stop", nil}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, err
	default:
		return 0, ending{"client", err}
	}
}

// inFrame says what an error means in the midst of a frame.
func inFrame(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ending{"slow", errors.New("a request that was begun did not arrive in time")}
	}
	if errors.Is(err, io.EOF) {
		return ending{"client", io.ErrUnexpectedEOF}
	}
	return err
}
