package listener

import (
	"time"
)

// answer takes r's answer and sends what its turn has come for.
func (c *Conn) answer(r *Request, out []Part) {
	defer r.letGo()
	c.mu.Lock()
	r.ready, r.out = true, out
	c.moveReady()
	if len(c.unsent) == 0 || c.writing || c.failed != nil {
		c.mu.Unlock()
		return
	}
	c.writing = true
	c.mu.Unlock()
	c.write(false)
}

// moveReady takes the answers whose turn has come from pending to unsent; on a
// failed connection it drops them. The caller holds mu.
func (c *Conn) moveReady() {
	n := 0
	for n < len(c.pending) && c.pending[n].ready {
		if c.failed == nil {
			c.unsent = append(c.unsent, c.pending[n].out...)
		} else {
			release(c.pending[n].out)
		}
		c.pending[n].out = nil
		n++
	}
	if n == 0 {
		return
	}
	left := copy(c.pending, c.pending[n:])
	clear(c.pending[left:])
	c.pending = c.pending[:left]
	c.moved.Broadcast()
}

// writeUnsent writes what the socket did not take at once, and waits for it. The
// connection's own goroutine calls it when the handler has returned.
func (c *Conn) writeUnsent() {
	c.mu.Lock()
	c.handling = false
	if len(c.unsent) == 0 || c.writing || c.failed != nil {
		c.mu.Unlock()
		return
	}
	c.writing = true
	c.mu.Unlock()
	c.write(true)
}

// write sends unsent until it is empty. The caller has set writing. Where the
// socket takes no more and the caller must not wait, the connection's own
// goroutine goes on, or one made for it.
func (c *Conn) write(mayWait bool) {
	for {
		c.mu.Lock()
		parts := c.unsent
		c.unsent = nil
		if len(parts) == 0 || c.failed != nil {
			c.writing = false
			c.moved.Broadcast()
			c.mu.Unlock()
			release(parts)
			return
		}
		c.mu.Unlock()
		rest, err := c.send(parts, mayWait)
		if err != nil {
			release(rest)
			c.endWriting()
			c.fail(err)
			return
		}
		if len(rest) > 0 && !c.leave(rest) {
			mayWait = true // on a goroutine of its own from here on
			go c.write(mayWait)
			return
		} else if len(rest) > 0 {
			return
		}
	}
}

// leave puts back what could not be sent at once, and reports whether the
// connection's own goroutine is going to look at it.
func (c *Conn) leave(rest []Part) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsent = append(rest, c.unsent...)
	if c.handling {
		c.writing = false
	}
	return c.handling
}

func (c *Conn) endWriting() {
	c.mu.Lock()
	c.writing = false
	c.moved.Broadcast()
	c.mu.Unlock()
}

// send writes parts to the socket and releases those that were sent. It returns
// the rest: where it may not wait, or on an error.
func (c *Conn) send(parts []Part, mayWait bool) (rest []Part, err error) {
	if mayWait {
		size := 0
		for i := range parts {
			size += parts[i].len()
		}
		c.socket.SetWriteDeadline(time.Now().Add(c.listener.slow(size)))
	}
	return c.sink.send(parts, mayWait)
}
