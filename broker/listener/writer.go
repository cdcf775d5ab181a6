package listener

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	// maxVector bounds the slices of one system call.
	maxVector = 64
	// maxBorrowed bounds the bytes that a writer has read from files and not sent.
	maxBorrowed = 64 << 10
)

// writer sends the answers of one connection while there are any. One goroutine
// at a time works with it.
type writer struct {
	conn  *Conn
	batch *Request  // what is being sent, a list in order
	taken time.Time // when batch was
	size  int       // its bytes

	at   *Request // the first that is not all in vector yet
	part int      // at's first part that is not; -1: not even its head

	vector   [][]byte // to be sent next
	room     [][]byte // what vector is built in
	borrowed []*buffer
	held     int   // bytes that borrowed holds
	file     *Part // after vector: its Region goes by sendfile
	copies   bool  // sendfile does not work here: files are read
	toSocket func(fd uintptr) bool
	mayWait  bool // toSocket waits until the socket takes more
	blocked  bool // the socket took no more
	err      error
}

var writers = sync.Pool{New: func() any {
	w := &writer{room: make([][]byte, 0, maxVector)}
	w.toSocket = w.send
	return w
}}

func newWriter(c *Conn) *writer {
	w := writers.Get().(*writer)
	w.conn, w.copies, w.err = c, c.raw == nil, nil
	return w
}

// start sends what is ready, as far as the socket takes it at once. The rest is
// left to the connection's goroutine where that is in the handler, for it looks
// at left when it comes back, and else to a goroutine made for it.
func (w *writer) start() {
	defer w.contain()
	for w.next() {
		if w.try(); w.err != nil {
			w.fail()
			return
		}
		if w.blocked {
			if !w.conn.leave(w) {
				go w.finish()
			}
			return
		}
	}
}

// finish goes on with what start began, and waits for the client.
func (w *writer) finish() {
	defer w.contain()
	c := w.conn
	for {
		c.socket.SetWriteDeadline(time.Now().Add(c.listener.config.allowance(w.size)))
		if w.wait(); w.err != nil {
			w.fail()
			return
		}
		// A deadline that is left behind would fail a later answer that need not wait.
		c.socket.SetWriteDeadline(time.Time{})
		if !w.next() {
			return
		}
	}
}

// next takes the next answers up, and reports false where there are none: the
// writer is done with then.
func (w *writer) next() bool {
	w.letBatchGo()
	batch := w.conn.takeReady(w.batch)
	if batch != nil && batch.hangup != nil {
		w.conn.shut(ending{"handler", batch.hangup})
		batch = w.conn.takeReady(nil)
	}
	w.batch, w.at, w.part, w.size = batch, batch, -1, 0
	if batch == nil {
		w.free()
		return false
	}
	w.taken = time.Now()
	for r := batch; r != nil; r = r.next {
		w.size += r.answer.size()
	}
	return true
}

// letBatchGo releases the answers that were sent.
func (w *writer) letBatchGo() {
	if w.batch == nil {
		return
	}
	w.conn.countAnswered(w.batch, w.taken)
	releaseReady(w.batch)
}

// fail ends the connection, which cannot be written to any more.
func (w *writer) fail() {
	why := ending{"client", w.err}
	var broken *fileError
	switch {
	case errors.Is(w.err, os.ErrDeadlineExceeded):
		why = ending{"slow", fmt.Errorf("answers of %d bytes were not taken in time", w.size)}
	case errors.As(w.err, &broken):
		why.reason = "file"
	}
	w.abandon(why)
}

func (w *writer) abandon(why ending) {
	releaseReady(w.batch)
	w.batch = nil
	w.conn.shut(why)
	w.conn.takeReady(nil)
	w.free()
}

// contain keeps a panic, such as that of a part's Release, from the goroutine
// that happens to write.
func (w *writer) contain() {
	if p := recover(); p != nil {
		w.conn.panicked("send an answer", p)
		w.abandon(ending{"panic", nil})
	}
}

func (w *writer) free() {
	w.giveBack()
	clear(w.room[:cap(w.room)])
	w.conn, w.batch, w.at, w.vector, w.file = nil, nil, nil, nil, nil
	writers.Put(w)
}

// load makes sure that there is something to send: slices in vector, then the
// region of file. It reports false when all is sent, or on an error.
func (w *writer) load() bool {
	if len(w.vector) == 0 && (w.file == nil || w.file.Region.Len == 0) {
		w.giveBack()
		w.vector, w.file = w.room[:0], nil
		w.err = w.gather()
	}
	return w.err == nil && (len(w.vector) > 0 || w.file != nil)
}

// gather fills vector, up to the first region that goes by sendfile.
func (w *writer) gather() error {
	for w.at != nil && w.file == nil && len(w.vector) < maxVector && w.held < maxBorrowed {
		a := &w.at.answer
		switch {
		case a.encoded != nil:
			w.add(a.encoded.b)
			w.at = w.at.next
		case w.part < 0:
			w.add(a.head[:a.headLen])
			w.part = 0
		case w.part == len(a.parts):
			w.at, w.part = w.at.next, -1
		case a.parts[w.part].Region.Len == 0:
			w.add(a.parts[w.part].Bytes)
			w.part++
		default:
			if err := w.gatherRegion(&a.parts[w.part]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) add(b []byte) {
	if len(b) > 0 {
		w.vector = append(w.vector, b)
	}
}

// gatherRegion leaves p to sendfile, or reads some of it and takes that off the
// region; p has nothing more to send once its region is empty.
func (w *writer) gatherRegion(p *Part) error {
	if !w.copies && p.Region.Len >= sendfileLeast {
		if _, ok := p.Region.File.Fd(); ok {
			w.file = p
			return nil
		}
	}
	buf := getBuffer(min(p.Region.Len, maxBorrowed-w.held))
	w.borrowed = append(w.borrowed, buf)
	w.held += len(buf.b)
	if n, err := p.Region.File.ReadAt(buf.b, p.Region.Off); n < len(buf.b) {
		return &fileError{p.Region.File.Name(), p.Region.Off, err}
	}
	w.add(buf.b)
	p.advance(len(buf.b))
	return nil
}

// giveBack returns the buffers whose bytes were sent.
func (w *writer) giveBack() {
	for i, buf := range w.borrowed {
		buf.put()
		w.borrowed[i] = nil
	}
	w.borrowed, w.held = w.borrowed[:0], 0
}

// sent takes n bytes off vector.
func (w *writer) sent(n int) {
	for n > 0 {
		first := w.vector[0]
		if n < len(first) {
			w.vector[0] = first[n:]
			return
		}
		n -= len(first)
		w.vector = w.vector[1:]
	}
}

// fileError says that a region of a file could not be read to its end. Part of
// the answer may be under way already, so the connection cannot go on.
type fileError struct {
	name string
	at   int64
	err  error
}

func (e *fileError) Error() string {
	return fmt.Sprintf("send %s from position %d on: %v", e.name, e.at, e.err)
}

func (e *fileError) Unwrap() error { return e.err }
