package listener

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klamm-io/klamm/protocol"
)

// errFrame says that what a client sent is no frame.
var errFrame = errors.New("bad frame")

// How far a frame's length is believed before its bytes are there: as far as
// twice the largest frame that the connection has delivered, and this at least.
const believedLeast = 64 << 10

// slowestRate is what a client is expected to send and take, in bytes a second:
// it gets that much more time for a large frame.
const slowestRate = 64 << 10

// frame is one request's bytes and what they cost.
type frame struct {
	bytes []byte
	taken int64 // of the budget
}

func (f *frame) release(b *Budget) {
	if f.bytes != nil {
		giveBuffer(f.bytes)
		b.give(f.taken)
		*f = frame{}
	}
}

// readFrame waits for a request and reads it whole. While it waits, the
// connection holds no buffer. It returns io.EOF where the client hung up between
// two requests.
func (c *Conn) readFrame() (frame, error) {
	size, err := c.readLength()
	if err != nil {
		return frame{}, err
	}
	c.busy.Store(true)
	limit := c.listener.config.MaxRequestBytes
	if c.largest == 0 {
		limit = min(limit, c.listener.config.MaxUnknownRequestBytes)
	}
	if size < protocol.HeaderSize-2 || size > limit {
		return frame{}, fmt.Errorf("%w: a length of %d bytes, from %d to %d are taken", errFrame, size, protocol.HeaderSize-2, limit)
	}
	c.socket.SetReadDeadline(time.Now().Add(c.listener.slow(size)))
	f, err := c.readBody(size)
	if err != nil {
		f.release(c.listener.deps.Budget)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, fmt.Errorf("read a request of %d bytes: %w", size, err)
	}
	c.largest = max(c.largest, size)
	return f, nil
}

// readLength waits for the four bytes that begin a frame.
func (c *Conn) readLength() (int, error) {
	c.busy.Store(false)
	for got := 0; got < len(c.length); {
		wait := c.listener.config.IdleTimeout
		if got > 0 {
			wait = c.listener.slow(len(c.length))
		}
		if err := c.setIdleDeadline(wait); err != nil {
			return 0, err
		}
		n, err := c.socket.Read(c.length[got:])
		got += n
		if err != nil && got > 0 && errors.Is(err, io.EOF) {
			return 0, io.ErrUnexpectedEOF
		}
		if err != nil && !(isTimeout(err) && got == 0 && c.pendingAny() && !c.listener.isStopping()) {
			return 0, err
		}
	}
	return int(int32(binary.BigEndian.Uint32(c.length[:]))), nil
}

// readBody reads size bytes, into memory that grows with what arrives.
func (c *Conn) readBody(size int) (f frame, err error) {
	budget := c.listener.deps.Budget
	for got := 0; got < size; {
		room := min(size, max(believedLeast, 2*c.largest, 2*got))
		more, err := budget.take(room - got)
		if err != nil {
			return f, err
		}
		grown := takeBuffer(room)
		copy(grown, f.bytes[:got])
		if f.bytes != nil {
			giveBuffer(f.bytes)
		}
		f.bytes, f.taken = grown, f.taken+more
		n, err := io.ReadFull(c.socket, f.bytes[got:])
		got += n
		if err != nil {
			return f, err
		}
	}
	return f, nil
}
