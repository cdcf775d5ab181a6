package listener

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// Request is one request of a client. It is finished exactly once, from any
// goroutine, by one of Reply, ReplyMsg, ReplyNothing and Hangup.
type Request struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      *string // nil where the client gave none
	// Body is what follows the header. It is valid until the handler has returned
	// and the request is finished, or ReleaseBody is called.
	Body     []byte
	Conn     *Conn
	Received time.Time

	frame    frame
	holders  atomic.Int32 // of frame: the handler's call, and the answer
	finished atomic.Bool
	overlaps bool

	// Guarded by Conn.mu.
	ready bool   // the answer is there
	out   []Part // the answer, nothing for a request that has none
}

// Part is a piece of an answer: bytes, or a region of a file. Release, if it is
// set, is called once the part was sent, or never will be.
type Part struct {
	Bytes   []byte
	Region  disk.Region
	Release func()
}

func (p *Part) len() int { return len(p.Bytes) + p.Region.Len }

// Reply answers with a body made of parts. Their bytes belong to the listener
// from now on.
func (r *Request) Reply(parts ...Part) {
	size := 0
	for i := range parts {
		size += parts[i].len()
	}
	head := r.appendHead(make([]byte, 4, 16))
	binary.BigEndian.PutUint32(head, uint32(len(head)-4+size))
	r.finish(append([]Part{{Bytes: head}}, parts...))
}

// ReplyMsg answers with a message, in the request's version.
func (r *Request) ReplyMsg(m kmsg.Response) {
	m.SetVersion(r.Version)
	out := m.AppendTo(r.appendHead(make([]byte, 4, 128)))
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	r.finish([]Part{{Bytes: out}})
}

// appendHead appends the response's header.
func (r *Request) appendHead(to []byte) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(r.CorrelationID))
	if protocol.ResponseHeaderFlexible(r.Key, r.Version) {
		to = append(to, 0)
	}
	return to
}

// ReplyNothing finishes a request that gets no answer: a produce with acks=0.
func (r *Request) ReplyNothing() { r.finish(nil) }

// ReleaseBody gives the body's memory back before the request is finished. Only
// the goroutine that handles the request may call it.
func (r *Request) ReleaseBody() {
	r.Body = nil
	r.frame.release(r.Conn.listener.deps.Budget)
}

// Hangup closes the connection instead of an answer; why is logged.
func (r *Request) Hangup(why error) {
	r.Conn.fail(why)
	r.finish(nil)
}

func (r *Request) finish(out []Part) {
	if !r.finished.CompareAndSwap(false, true) {
		panic("listener: a request was finished twice")
	}
	c := r.Conn
	c.listener.deps.Observe.Answered(r.Key, r.Version, time.Since(r.Received))
	c.answer(r, out)
}

// letGo gives the frame's memory back with the last holder.
func (r *Request) letGo() {
	if r.holders.Add(-1) == 0 {
		r.frame.release(r.Conn.listener.deps.Budget)
	}
}

// giveUp drops a request that was never begun.
func (r *Request) giveUp() {
	r.letGo()
	r.letGo()
}

func release(parts []Part) {
	for _, p := range parts {
		if p.Release != nil {
			p.Release()
		}
	}
}
