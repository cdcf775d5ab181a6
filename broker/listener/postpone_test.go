package listener

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// together handles requests whose answers wait for a postponed task, and notes what
// happens in which order.
type together struct {
	here map[int32]int // bytes that must have come before a request is handled

	mu      sync.Mutex
	waiting []*Request
	story   string // a number for each request, and ! for the task
	atOnce  []int  // how many waited each time that the task was done
}

func (h *together) handle(r *Request) {
	awaitBytes(r, h.here[r.CorrelationID])
	h.mu.Lock()
	h.story += fmt.Sprint(r.CorrelationID)
	h.waiting = append(h.waiting, r)
	h.mu.Unlock()
	r.Postpone(h)
}

// awaitBytes returns when so many have come after a request.
func awaitBytes(r *Request, n int) {
	for there := 0; r.Conn.ahead.len()+there < n; {
		time.Sleep(time.Millisecond)
		r.Conn.raw.Control(func(fd uintptr) { there, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	}
}

// Do answers all that wait.
func (h *together) Do() {
	h.mu.Lock()
	h.story += "!"
	waiting := h.waiting
	h.waiting, h.atOnce = nil, append(h.atOnce, len(waiting))
	h.mu.Unlock()
	for _, r := range waiting {
		r.Reply()
	}
}

// TestPostponed: a task is done once for requests that have come together, and never
// waits for more of them than are there.
func TestPostponed(t *testing.T) {
	body := func(n int) []byte { return make([]byte, n) }
	one := frameOf(produce, 1, nil)
	for _, c := range []struct {
		name   string
		config Config
		budget int64
		rest   [][]byte // what follows the first request, there before it is handled
		late   []byte   // what comes after the first answer
		story  string
	}{
		{name: "alone", story: "1!"},
		{name: "together", rest: [][]byte{frameOf(produce, 2, body(100)), frameOf(produce, 3, body(5000)), frameOf(produce, 4, nil)}, story: "1234!"},
		{name: "the next is not whole", rest: [][]byte{frameOf(produce, 2, body(5000))[:4000]}, late: make([]byte, 1014), story: "1!2!"},
		{name: "only a length", rest: [][]byte{{0, 0}}, late: frameOf(produce, 2, nil)[2:], story: "1!2!"},
		{name: "as many as may be in flight", config: Config{MaxInFlight: 2}, rest: [][]byte{frameOf(produce, 2, nil), frameOf(produce, 3, nil)}, story: "12!3!"},
		{name: "the next must not overlap", rest: [][]byte{frameOf(fetch, 2, nil), frameOf(produce, 3, nil)}, story: "1!2!3!"},
		{name: "no memory for the next", budget: 3000, rest: [][]byte{frameOf(produce, 2, body(2000)), frameOf(produce, 3, body(2000))}, story: "12!3!"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &together{here: map[int32]int{}}
			for _, frame := range c.rest {
				h.here[1] += len(frame)
			}
			s := onLoopback(t, c.config, h.handle)
			if c.budget > 0 {
				s.budget.limit = c.budget
			}
			s.run(t)
			conn := s.dial()
			send(t, conn, append([][]byte{one}, c.rest...)...)
			expect(t, conn, 1, "")
			send(t, conn, c.late)
			for id := range int32(len(c.rest)) {
				expect(t, conn, 2+id, "")
			}
			s.stop()
			if h.story != c.story {
				t.Errorf("it went %s, want %s", h.story, c.story)
			}
		})
	}
}

// TestPostponedAreBounded: a client whose next request is always there is served.
func TestPostponedAreBounded(t *testing.T) {
	for _, c := range []struct{ requests, body, most int }{{100, 0, postponedRequests}, {8, 400_000, postponedBytes/400_000 + 1}} {
		h := &together{here: map[int32]int{}}
		for id := range int32(c.requests - 1) {
			h.here[1+id] = 14
		}
		s := onLoopback(t, Config{MaxInFlight: 1000}, h.handle).run(t)
		conn := s.dial()
		go func() {
			for id := range int32(c.requests) {
				conn.Write(frameOf(produce, 1+id, make([]byte, c.body)))
			}
		}()
		for id := range int32(c.requests) {
			expect(t, conn, 1+id, "")
		}
		s.stop()
		if got := slices.Max(h.atOnce); got > c.most || c.body == 0 && got < c.most {
			t.Errorf("of requests of %d bytes each, the task was done for %v, want at most %d", c.body, h.atOnce, c.most)
		}
	}
}

// TestPostponedAtTheEnd: what is postponed is done where the connection ends in the
// middle of what was sent together.
func TestPostponedAtTheEnd(t *testing.T) {
	done := make(chan struct{}, 2)
	s := onLoopback(t, Config{}, func(r *Request) {
		if r.CorrelationID == 2 {
			panic("the test's")
		}
		awaitBytes(r, 1)
		r.Postpone(&taskFunc{func() {
			r.ReplyNothing()
			done <- struct{}{}
		}})
	}).run(t)
	conn := s.dial()
	send(t, conn, frameOf(produce, 1, nil), frameOf(produce, 2, nil))
	expectEnd(t, conn)
	<-done
}

type taskFunc struct{ do func() }

func (f *taskFunc) Do() { f.do() }
