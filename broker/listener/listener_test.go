package listener

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestPanicEndsOneConnection(t *testing.T) {
	fail := true
	inBubble(t, Config{}, func(r *Request) {
		if fail {
			fail = false
			panic("nobody thought of this")
		}
		echo(r)
	}, func(t *testing.T, s *server) {
		first, second := s.dial(), s.dial()
		send(t, first, frameOf(metadata, 1, nil))
		expectEnd(t, first)
		s.counts.ended(t, "panic", 1)
		if s.counts.panicked != 1 || s.budget.Used() != 0 {
			t.Errorf("%d panics counted, %d bytes held", s.counts.panicked, s.budget.Used())
		}
		if text := s.log.String(); !strings.Contains(text, "nobody thought of this") || !strings.Contains(text, "listener_test.go") {
			t.Errorf("the log does not tell the panic and where it was:\n%s", text)
		}
		send(t, second, frameOf(metadata, 2, []byte("x")))
		expect(t, second, 2, "x")
	})
}

func TestPanicOfAReleaseEndsOneConnection(t *testing.T) {
	for name, reply := range map[string]func(*Request, ...Part){
		"on the handler's goroutine": (*Request).Reply,
		"on another":                 func(r *Request, p ...Part) { go r.Reply(p...) },
	} {
		t.Run(name, func(t *testing.T) {
			s := onLoopback(t, Config{}, func(r *Request) {
				reply(r, Part{Release: func() { panic("released twice") }})
			}).run(t)
			conn := s.dial()
			send(t, conn, frameOf(metadata, 1, nil))
			expect(t, conn, 1, "")
			expectEnd(t, conn)
			s.counts.ended(t, "panic", 1)
		})
	}
}

// TestRequestIsFinishedAfterItsHandlerPanicked: what the handler had started must
// not see its body handed to another request.
func TestRequestIsFinishedAfterItsHandlerPanicked(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // a pool keeps apart what each processor gives it
	later := make(chan *Request, 1)
	inBubble(t, Config{}, func(r *Request) {
		later <- r
		panic("after it was handed on")
	}, func(t *testing.T, s *server) {
		conn := s.dial()
		send(t, conn, frameOf(produce, 1, []byte("mine")))
		expectEnd(t, conn)
		synctest.Wait()
		r := <-later
		if other := getBuffer(14); sameMemory(other, r.Body) || string(r.Body) != "mine" {
			t.Fatal("the body's memory was given to another")
		}
		released := false
		r.Reply(Part{Release: func() { released = true }})
		if !released {
			t.Fatal("the answer was not released")
		}
	})
}

// sameMemory reports whether body, after a header of 10 bytes, lies in buf.
func sameMemory(buf *buffer, body []byte) bool {
	whole := buf.b[:cap(buf.b)]
	return &whole[10] == &body[0]
}

func TestConnectionLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		reason string
	}{
		{"all", Config{MaxConnections: 2}, "connections"},
		{"one address's", Config{MaxConnectionsPerIP: 2}, "connections_per_ip"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := onLoopback(t, c.config, echo).run(t)
			conns := []net.Conn{s.dial(), s.dial()}
			for _, conn := range conns {
				send(t, conn, frameOf(metadata, 1, nil))
				expect(t, conn, 1, "")
			}
			for range 100 {
				expectEnd(t, s.dial())
			}
			s.counts.note(func() {
				if s.counts.refused[c.reason] != 100 || s.counts.opened != 2 {
					t.Errorf("%d opened, refused %v", s.counts.opened, s.counts.refused)
				}
			})
			if lines := countLines(s.log.String(), "too many connections"); lines == 0 || lines > 30 {
				t.Errorf("%d lines in the log for 100 refusals", lines)
			}
			conns[0].Close()
			s.counts.ended(t, "client", 1)
			eventually(t, func() string { // the place is free once the connection is forgotten
				conn := s.dial()
				if conn.Write(frameOf(metadata, 1, nil)); isAnswered(conn) {
					return ""
				}
				return "a free place is not given to anybody"
			})
		})
	}
}

func isAnswered(conn net.Conn) bool {
	_, _, err := read(conn)
	return err == nil
}

func TestStopFinishesWhatWasBegun(t *testing.T) {
	h := newHeld()
	inBubble(t, Config{StopTimeout: time.Minute}, h.handle, func(t *testing.T, s *server) {
		busy, idle, torn := s.dial(), s.dial(), s.dial()
		send(t, busy, frameOf(produce, 1, nil), frameOf(produce, 2, nil))
		send(t, torn, frameOf(produce, 1, nil)[:7])
		first, second := <-h.begun, <-h.begun
		stopped := make(chan time.Time)
		go func() {
			s.stop()
			stopped <- time.Now()
		}()
		expectEnd(t, idle)
		expectEnd(t, torn)
		time.Sleep(10 * time.Second)
		go second.Reply(Part{Bytes: []byte("b")})
		synctest.Wait()
		go first.Reply(Part{Bytes: []byte("a")})
		expect(t, busy, 1, "a")
		expect(t, busy, 2, "b")
		expectEnd(t, busy)
		if at := time.Now(); (<-stopped).Sub(at) != 0 {
			t.Error("Run went on after the last answer")
		}
	})
}

// TestStopEndsConnectionsAsClientsExpect: a client that was answered sees an end in
// order. One that was not, or to ApiVersions only, sees an error: it may take an end
// in order for a broker that speaks something else.
func TestStopEndsConnectionsAsClientsExpect(t *testing.T) {
	s := onLoopback(t, Config{}, func(r *Request) { r.Reply() }).run(t)
	served, fresh, silent := s.dial(), s.dial(), s.dial()
	for _, conn := range []net.Conn{served, fresh} {
		send(t, conn, frameOf(versions, 1, nil))
		expect(t, conn, 1, "")
	}
	send(t, served, frameOf(metadata, 2, nil))
	expect(t, served, 2, "")
	eventually(t, func() string {
		if n := len(s.all()); n != 3 {
			return fmt.Sprintf("%d connections are served", n)
		}
		return ""
	})
	s.stop()
	if _, err := served.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("who was answered reads %v, want EOF", err)
	}
	for name, conn := range map[string]net.Conn{"who was told the versions": fresh, "who said nothing": silent} {
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s reads %v, want that the connection was reset", name, err)
		}
	}
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	h := newHeld()
	inBubble(t, Config{StopTimeout: time.Minute}, h.handle, func(t *testing.T, s *server) {
		conn := s.dial()
		send(t, conn, frameOf(produce, 1, nil))
		r := <-h.begun
		began := time.Now()
		s.stop()
		if took := time.Since(began); took != time.Minute {
			t.Errorf("stopped after %s, want a minute", took)
		}
		expectEnd(t, conn)
		released := false
		r.Reply(Part{Release: func() { released = true }})
		if !released {
			t.Error("an answer after the end was not released")
		}
	})
}

func TestStopCutsClientsThatDoNotRead(t *testing.T) {
	s := onLoopback(t, Config{StopTimeout: 50 * time.Millisecond}, func(r *Request) {
		r.Reply(Part{Bytes: make([]byte, 32<<20)})
	}).run(t)
	conn := s.dial()
	send(t, conn, frameOf(fetch, 1, nil))
	conn.Read(make([]byte, 1)) // it is being written
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("stopped after %s", took)
	}
}

// TestRunWaitsForItsWriters has a goroutine of the listener's held up in Release.
func TestRunWaitsForItsWriters(t *testing.T) {
	h := newHeld()
	inBubble(t, Config{}, h.handle, func(t *testing.T, s *server) {
		conn := s.dial()
		send(t, conn, frameOf(produce, 1, nil))
		r := <-h.begun
		synctest.Wait()
		began := time.Now()
		r.Reply(Part{Release: func() { time.Sleep(time.Hour) }})
		expect(t, conn, 1, "")
		s.stop()
		if took := time.Since(began); took != time.Hour {
			t.Errorf("Run ended after %s, its goroutine after an hour", took)
		}
	})
}

// TestHalfClosedClientGetsItsAnswers sends all it has and reads on.
func TestHalfClosedClientGetsItsAnswers(t *testing.T) {
	h := newHeld()
	s := onLoopback(t, Config{}, h.handle).run(t)
	conn := s.dial()
	send(t, conn, frameOf(produce, 1, nil))
	conn.(*net.TCPConn).CloseWrite()
	r := <-h.begun
	r.Reply(Part{Bytes: []byte("late")})
	expect(t, conn, 1, "late")
	expectEnd(t, conn)
}

func TestBodyIsValidWhileTheHandlerRuns(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	inBubble(t, Config{}, func(r *Request) {
		r.ReplyNothing()
		if other := getBuffer(14); sameMemory(other, r.Body) || string(r.Body) != "mine" {
			panic("the body was taken away")
		}
	}, func(t *testing.T, s *server) {
		conn := s.dial()
		send(t, conn, frameOf(produce, 1, []byte("mine")))
		synctest.Wait()
		if s.counts.panicked != 0 {
			t.Fatal(s.log)
		}
		if s.budget.Used() != 0 {
			t.Fatalf("%d bytes are held after the handler returned", s.budget.Used())
		}
	})
}

func TestReleaseBodyGivesItsShareBack(t *testing.T) {
	h := newHeld()
	inBubble(t, Config{}, h.handle, func(t *testing.T, s *server) {
		conn := s.dial()
		send(t, conn, frameOf(produce, 1, make([]byte, 4000)))
		r := <-h.begun
		if used := s.budget.Used(); used != 4096 {
			t.Errorf("a request of 4,010 bytes holds %d", used)
		}
		r.ReleaseBody()
		r.ReleaseBody()
		if used := s.budget.Used(); used != 0 {
			t.Errorf("%d bytes are held after ReleaseBody", used)
		}
		r.ReplyNothing()
	})
}

func TestConnTellsWhoItIs(t *testing.T) {
	s := onLoopback(t, Config{}, func(r *Request) {
		r.Conn.SetSoftware("kgo", "1.2")
		name, version := r.Conn.Software()
		r.Reply(Part{Bytes: fmt.Appendf(nil, "%s %s %s %s %s", r.Conn.Listener, r.Conn.Host(), name, version, r.Conn.Principal)})
	}).run(t)
	conn := s.dial()
	send(t, conn, frameOf(metadata, 1, nil))
	expect(t, conn, 1, "PLAINTEXT 127.0.0.1 kgo 1.2 User:ANONYMOUS")
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	s := onLoopback(t, Config{}, echo).run(t)
	_, err := Listen(Config{Addr: s.Addr().String()}, Deps{Handler: handlerFunc(echo), Budget: NewBudget(1)})
	if err == nil || !strings.Contains(err.Error(), s.Addr().String()) {
		t.Errorf("a second listener on one address: %v", err)
	}
	if _, err := Listen(Config{Addr: "127.0.0.1:0"}, Deps{}); err == nil {
		t.Error("a listener without a handler was made")
	}
	l, err := Listen(Config{Addr: "127.0.0.1:0"}, Deps{Handler: handlerFunc(echo), Budget: NewBudget(1)})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := l.Run(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run of a closed listener: %v", err)
	}
}
