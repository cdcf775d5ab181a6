package listener

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// Request is one request of a client. It is finished exactly once, by Reply,
// ReplyMsg, SettleMsg, ReplyNothing or Hangup, from any goroutine.
type Request struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      *string
	// Body is what follows the header. It lies in pooled memory, and is valid until
	// ReleaseBody, or until the handler has returned and the request is finished.
	// What is kept longer must be copied.
	Body     []byte
	Conn     *Conn
	Size     int       // bytes of the whole frame but for its length
	Received time.Time // when the last byte had been read
	// Role is a second name that metrics know the request by, empty for none: Kafka
	// tells a consumer's fetches from a follower's. The handler sets it.
	Role string
	// Bare says that the request is a token of SASL and nothing else, and that its
	// answer has no header either.
	Bare bool
	// Meter, if not nil, is asked when the request is answered with a message. The handler
	// sets it.
	Meter Meter
	// Told, if not nil, hears the message that the request is answered with. The handler
	// sets it.
	Told func(kmsg.Response)
	// Note is the handler's own, for the time of its call.
	Note any

	memory   atomic.Pointer[buffer] // holds Body; nil once released
	holders  atomic.Int32           // of memory: the handler's call, and the answer
	finished atomic.Bool
	overlaps bool

	// Guarded by Conn.mu until a writer takes the request off the queue.
	ready  bool // finished: what follows stands
	hangup error
	clock
	answer
	next *Request
}

// hold makes the request the owner of its frame, until the handler's call and the
// answer let go of it.
func (r *Request) hold(frame *buffer) {
	r.memory.Store(frame)
	r.holders.Store(2)
}

// Waited notes time that the handler spent waiting for others. It is called by the
// handler, before it finishes the request.
func (r *Request) Waited(d time.Duration) { r.clock.waited += d }

// Reply answers with a body made of parts, which the listener owns from now on.
// They must not lie in Body.
func (r *Request) Reply(parts ...Part) {
	size := int64(0)
	for i := range parts {
		size += int64(parts[i].len())
	}
	if !r.finishOnce() {
		releaseParts(parts)
		return
	}
	if size > math.MaxInt32-16 {
		releaseParts(parts)
		r.Conn.finish(r, answer{}, fmt.Errorf("an answer of %d bytes is more than a frame can hold", size))
		return
	}
	a := answer{parts: parts}
	a.headLen = len(r.appendHead(a.head[:0], int(size)))
	r.Conn.finish(r, a, nil)
}

// ReplyMsg answers with a message, encoded at the request's version.
func (r *Request) ReplyMsg(msg kmsg.Response) {
	if send := r.SettleMsg(msg); send != nil {
		send()
	}
}

// SettleMsg is ReplyMsg that leaves the sending to the caller, who is to call what
// it returns, if that is not nil, before long: what is settled meanwhile on the
// same connection is sent with it, by one system call.
func (r *Request) SettleMsg(msg kmsg.Response) (send func()) {
	if r.Meter != nil {
		r.throttle(msg)
	}
	if r.Told != nil {
		r.Told(msg)
	}
	buf := getBuffer(4096)
	msg.SetVersion(r.Version)
	buf.b = msg.AppendTo(r.appendHead(buf.b[:0], 0))
	binary.BigEndian.PutUint32(buf.b, uint32(len(buf.b)-4))
	if !r.finishOnce() {
		buf.put()
		return nil
	}
	if w := r.Conn.settle(r, answer{encoded: buf}, nil); w != nil {
		return w.start
	}
	return nil
}

// ReplyNothing ends a request that has no answer, such as a Produce with acks=0.
func (r *Request) ReplyNothing() {
	if r.finishOnce() {
		r.Conn.finish(r, answer{}, nil)
	}
}

// Hangup closes the connection, after the answers to earlier requests were sent.
// The log says why.
func (r *Request) Hangup(err error) {
	if err == nil {
		err = errors.New("request refused")
	}
	if r.finishOnce() {
		r.Conn.finish(r, answer{}, err)
	}
}

// ReleaseBody gives the memory of Body back before the request is finished.
func (r *Request) ReleaseBody() {
	if buf := r.memory.Swap(nil); buf != nil {
		buf.settle(r.Conn.listener.deps.Budget)
		buf.put()
	}
}

// letGo gives the memory of Body back with the last of its holders.
func (r *Request) letGo() {
	if r.holders.Add(-1) == 0 {
		r.ReleaseBody()
	}
}

// abandonBody gives the body's share of the budget back but leaves the memory to
// the garbage collector, for a handler that failed may have left it in any hands.
func (r *Request) abandonBody() {
	if buf := r.memory.Swap(nil); buf != nil {
		buf.settle(r.Conn.listener.deps.Budget)
	}
}

// finishOnce reports whether the request was still open. A second finish is a
// fault of the handler, which only its log may notice.
func (r *Request) finishOnce() bool {
	if r.finished.CompareAndSwap(false, true) {
		return true
	}
	r.Conn.listener.deps.Logger.Error("request was finished twice", "api", protocol.NameOf(r.Key), "version", r.Version, "correlation", r.CorrelationID)
	return false
}

// appendHead appends the frame's size and the response header.
func (r *Request) appendHead(dst []byte, bodySize int) []byte {
	if r.Bare {
		return binary.BigEndian.AppendUint32(dst, uint32(bodySize))
	}
	flexible := protocol.ResponseHeaderFlexible(r.Key, r.Version)
	size := 4 + bodySize
	if flexible {
		size++
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.CorrelationID))
	if flexible {
		dst = append(dst, 0)
	}
	return dst
}
