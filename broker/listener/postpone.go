package listener

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// Task is something to be done. It is compared with others by ==.
type Task interface{ Do() }

// What is postponed at most, so that a client which never pauses is served too.
const (
	postponedRequests = 32
	postponedBytes    = 1 << 20
)

// postponed are a connection's tasks that are to be done before its goroutine waits
// for anything: for bytes of the client, above all. That goroutine owns them.
//
// So what is best done once for many requests, such as a flush, is done once for
// those that a client has sent together, and never waits for more of them.
type postponed struct {
	tasks    []Task
	requests int // that were handled since the first task came
	bytes    int // of those

	// Of the read that is under way.
	dst    []byte
	n      int
	err    error
	source func(fd uintptr) (done bool)
}

// Postpone has t done before the connection's goroutine waits again. It is called by
// the handler, on the goroutine that it was called on. A task that is postponed
// already is done once.
func (r *Request) Postpone(t Task) {
	p := &r.Conn.postponed
	for _, there := range p.tasks {
		if there == t {
			return
		}
	}
	p.tasks = append(p.tasks, t)
}

// DoPostponed does what earlier requests of the connection have postponed, for a
// handler that is about to wait. It is called on the goroutine that the handler was
// called on.
func (r *Request) DoPostponed() { r.Conn.doPostponed() }

func (c *Conn) doPostponed() {
	p := &c.postponed
	for _, t := range p.tasks {
		t.Do()
	}
	clear(p.tasks)
	p.tasks, p.requests, p.bytes = p.tasks[:0], 0, 0
}

// boundPostponed takes note of a request of so many bytes that was handled.
func (c *Conn) boundPostponed(bytes int) {
	p := &c.postponed
	if len(p.tasks) == 0 {
		return
	}
	p.requests++
	p.bytes += bytes
	if p.requests >= postponedRequests || p.bytes >= postponedBytes {
		c.doPostponed()
	}
}

// receive reads what there is from the socket. Before it waits, it does what was
// postponed.
func (c *Conn) receive(dst []byte) (int, error) {
	p := &c.postponed
	if len(p.tasks) == 0 {
		return c.socket.Read(dst)
	}
	if c.raw == nil { // it cannot be told whether it would wait
		c.doPostponed()
		return c.socket.Read(dst)
	}
	if p.source == nil {
		p.source = c.receiveSome
	}
	p.dst, p.n, p.err = dst, 0, nil
	err := c.raw.Read(p.source)
	p.dst = nil
	if err == nil {
		err = p.err
	}
	return p.n, err
}

// receiveSome makes the system call. False has the poller wait.
func (c *Conn) receiveSome(fd uintptr) (done bool) {
	p := &c.postponed
	for {
		n, err := unix.Read(int(fd), p.dst)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			c.doPostponed()
			return false
		case err != nil:
			p.err = err
		case n == 0:
			p.err = io.EOF
		default:
			p.n = n
		}
		return true
	}
}
