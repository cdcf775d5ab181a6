package listener

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"
)

// The keys that tests use: a header version with and one without tags, one of
// which overlaps.
const (
	produce  = 0
	fetch    = 1
	metadata = 3
	versions = 18
)

// handlerFunc handles requests with a function; Produce overlaps.
type handlerFunc func(*Request)

func (f handlerFunc) Handle(r *Request)       { f(r) }
func (f handlerFunc) Overlaps(key int16) bool { return key == produce }

// counts adds up what metrics are told.
type counts struct {
	mu                         sync.Mutex
	opened, answered, panicked int
	closed, refused            map[string]int
	served                     []Served
}

func newCounts() *counts { return &counts{closed: map[string]int{}, refused: map[string]int{}} }

func (c *counts) note(fn func()) { c.mu.Lock(); defer c.mu.Unlock(); fn() }

func (c *counts) ConnectionOpened()            { c.note(func() { c.opened++ }) }
func (c *counts) ConnectionClosed(why string)  { c.note(func() { c.closed[why]++ }) }
func (c *counts) ConnectionRefused(why string) { c.note(func() { c.refused[why]++ }) }
func (c *counts) Answered(s Served)            { c.note(func() { c.answered++; c.served = append(c.served, s) }) }
func (c *counts) Panicked()                    { c.note(func() { c.panicked++ }) }

// ended waits until so many connections have ended for that reason.
func (c *counts) ended(t *testing.T, why string, want int) {
	t.Helper()
	eventually(t, func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.closed[why] == want {
			return ""
		}
		return fmt.Sprintf("connections ended: %v, want %d of %s", c.closed, want, why)
	})
}

// eventually waits until complaint returns nothing.
func eventually(t *testing.T, complaint func() string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		text := complaint()
		if text == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(text)
		}
		time.Sleep(time.Millisecond)
	}
}

// logged collects what is logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// server is a listener that runs for a test, which fails if at its end the budget
// is not whole again or a connection is still known.
type server struct {
	*Listener
	counts *counts
	log    *logged
	budget *Budget
	dial   func() net.Conn
	stop   func() // and wait for Run
}

func newServer(t testing.TB, socket net.Listener, config Config, handle handlerFunc) *server {
	t.Helper()
	s := &server{counts: newCounts(), log: &logged{}, budget: NewBudget(64 << 20)}
	config.Name = "PLAINTEXT"
	s.Listener = newListener(socket, config, Deps{
		Handler: handle, Budget: s.budget, Metrics: s.counts, Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	})
	return s
}

func (s *server) run(t testing.TB) *server {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		s.stop()
		if used := s.budget.Used(); used != 0 {
			t.Errorf("%d bytes of the budget were never given back", used)
		}
		if len(s.conns)+len(s.perIP) != 0 {
			t.Errorf("connections are remembered after their end: %v %v", s.conns, s.perIP)
		}
	})
	return s
}

// onLoopback serves on a real socket.
func onLoopback(t testing.TB, config Config, handle handlerFunc) *server {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, socket, config, handle)
	s.dial = func() net.Conn {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	return s
}

// inMemory serves pipes, for tests with synthetic time. The test has to call stop.
func inMemory(t testing.TB, config Config, handle handlerFunc) *server {
	t.Helper()
	pipes := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := newServer(t, pipes, config, handle)
	s.dial = func() net.Conn {
		client, served := net.Pipe()
		pipes.conns <- served
		t.Cleanup(func() { client.Close() })
		return client
	}
	return s
}

type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipeListener) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// frameOf is a request as it is sent, without a client id.
func frameOf(key int16, correlation int32, body []byte) []byte {
	version := int16(0)
	b := binary.BigEndian.AppendUint32(nil, uint32(10+len(body)))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = binary.BigEndian.AppendUint16(b, 0xffff)
	return append(b, body...)
}

func send(t testing.TB, conn net.Conn, frames ...[]byte) {
	t.Helper()
	if _, err := conn.Write(bytes.Join(frames, nil)); err != nil {
		t.Fatal(err)
	}
}

// receive reads an answer, and returns its correlation id and its body.
func receive(t testing.TB, conn net.Conn) (int32, []byte) {
	t.Helper()
	correlation, body, err := read(conn)
	if err != nil {
		t.Fatal(err)
	}
	return correlation, body
}

func read(conn net.Conn) (int32, []byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return 0, nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	_, err := io.ReadFull(conn, body)
	return int32(binary.BigEndian.Uint32(head[4:])), body, err
}

func expect(t testing.TB, conn net.Conn, correlation int32, body string) {
	t.Helper()
	gotID, got := receive(t, conn)
	if gotID != correlation || string(got) != body {
		t.Fatalf("answer %d %q, want %d %q", gotID, clip(got), correlation, clip([]byte(body)))
	}
}

func clip(b []byte) []byte { return b[:min(len(b), 64)] }

// expectEnd fails unless the server closes the connection without a byte more.
func expectEnd(t testing.TB, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	var one [1]byte
	n, err := conn.Read(one[:])
	var waited net.Error
	if n > 0 || err == nil || errors.As(err, &waited) && waited.Timeout() {
		t.Fatalf("read %d bytes and %v, want the end of the connection", n, err)
	}
}

// echo answers with the request's body.
func echo(r *Request) { r.Reply(Part{Bytes: bytes.Clone(r.Body)}) }
