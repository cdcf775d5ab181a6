package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/node"
)

var discard = slog.New(slog.DiscardHandler)

var config = Config{NodeID: 1, ClusterID: "the-cluster", Incarnation: [16]byte{1, 2, 3}, ClientID: "klamm-node-1"}

// request is what a fake node has read.
type request struct {
	protocol.Header
	body []byte
	conn *fakeConn
}

// fakeNode is the other end: it greets whoever says Hello, and hands all else to
// handle, on the connection's goroutine.
type fakeNode struct {
	id     int32
	greet  func(*node.HelloRequest) *node.HelloResponse // nil: everybody is welcome
	handle func(*request)

	mu sync.Mutex
	// Guarded by mu.
	conns  []*fakeConn
	hellos []*node.HelloRequest
}

type fakeConn struct {
	net.Conn
	node *fakeNode
}

// serve reads requests until the connection ends.
func (n *fakeNode) serve(conn net.Conn) {
	c := &fakeConn{Conn: conn, node: n}
	n.mu.Lock()
	n.conns = append(n.conns, c)
	n.mu.Unlock()
	defer conn.Close()
	for {
		r, err := c.read()
		if err != nil {
			return
		}
		if r.Key == node.HelloKey {
			c.hello(r)
		} else if n.handle != nil {
			n.handle(r)
		}
	}
}

func (c *fakeConn) read() (*request, error) {
	var length [4]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(c, frame); err != nil {
		return nil, err
	}
	h, body, err := protocol.ParseHeader(frame)
	if err == nil {
		_, err = protocol.Check(h.Key, h.Version, body)
	}
	return &request{h, body, c}, err
}

func (c *fakeConn) hello(r *request) {
	var req node.HelloRequest
	if err := req.ReadFrom(r.body); err != nil {
		panic(err)
	}
	c.node.mu.Lock()
	c.node.hellos = append(c.node.hellos, &req)
	c.node.mu.Unlock()
	resp := &node.HelloResponse{NodeID: c.node.id}
	if c.node.greet != nil {
		resp = c.node.greet(&req)
	}
	if resp != nil {
		r.reply(resp)
	}
}

// reply answers a request with a message.
func (r *request) reply(resp kmsg.Response) {
	resp.SetVersion(r.Version)
	var head []byte
	if protocol.ResponseHeaderFlexible(r.Key, r.Version) {
		head = []byte{0}
	}
	r.conn.send(r.CorrelationID, resp.AppendTo(head))
}

func (c *fakeConn) send(correlationID int32, rest []byte) {
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+len(rest)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(correlationID))
	c.Write(append(frame, rest...))
}

// echo answers a ReadMetadata with what it asked for.
func echo(r *request) {
	if r.Key == node.ConsensusKey {
		return
	}
	r.reply(&node.ReadMetadataResponse{HighWatermark: indexOf(r)})
}

func indexOf(r *request) int64 {
	var req node.ReadMetadataRequest
	if err := req.ReadFrom(r.body); err != nil {
		panic(err)
	}
	return req.Index
}

// hangUp ends all connections.
func (n *fakeNode) hangUp() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		c.Close()
	}
}

func (n *fakeNode) greeted() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.hellos)
}

// listen lets a node serve on a loopback address until the test ends or it is killed.
func (n *fakeNode) listen(t *testing.T) (addr string, kill func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { n.serve(conn) })
		}
	})
	kill = func() {
		ln.Close()
		n.hangUp()
	}
	t.Cleanup(func() {
		kill()
		serving.Wait()
	})
	return ln.Addr().String(), kill
}

// event is what Deps.Reached or Deps.Broken was told.
type event struct {
	node int32
	lane Lane
	what string
}

// harness is Peers that run, and what they told.
type harness struct {
	*Peers
	t      *testing.T
	events chan event
	logged *lockedBuffer
	stop   func()
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

// start runs Peers until the test ends.
func start(t *testing.T, c Config, dial func(ctx context.Context, lane Lane, addr string) (net.Conn, error)) *harness {
	h := &harness{t: t, events: make(chan event, 10_000), logged: &lockedBuffer{}}
	h.Peers = New(c, Deps{
		Dial:    dial,
		Logger:  slog.New(slog.NewTextHandler(h.logged, nil)),
		Reached: func(node int32, lane Lane) { h.events <- event{node, lane, "reached"} },
		Broken: func(node int32, lane Lane, refused bool) {
			h.events <- event{node, lane, map[bool]string{false: "broken", true: "refused"}[refused]}
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

// startOnTCP runs Peers that are patient: real time passes while a busy machine is
// slow.
func startOnTCP(t *testing.T) *harness {
	patient := config
	patient.DialTimeout, patient.RequestTimeout = time.Minute, time.Minute
	return start(t, patient, dialTCP)
}

// read asks a node to read metadata, and returns what it says.
func (h *harness) read(ctx context.Context, to Target, index int64) (int64, error) {
	resp, err := h.Request(ctx, to, &node.ReadMetadataRequest{Index: index})
	if err != nil {
		return 0, err
	}
	return resp.(*node.ReadMetadataResponse).HighWatermark, nil
}

// expectRead asks and expects the same number back.
func (h *harness) expectRead(to Target, index int64) {
	h.t.Helper()
	if got, err := h.read(h.t.Context(), to, index); err != nil || got != index {
		h.t.Fatalf("asked for %d: got %d, %v", index, got, err)
	}
}

// expect takes the next events.
func (h *harness) expect(want ...event) {
	h.t.Helper()
	for _, w := range want {
		select {
		case got := <-h.events:
			if got != w {
				h.t.Fatalf("got %v, want %v", got, w)
			}
		case <-time.After(time.Minute):
			h.t.Fatalf("nothing, want %v", w)
		}
	}
}

func (h *harness) expectQuiet() {
	h.t.Helper()
	select {
	case got := <-h.events:
		h.t.Fatalf("got %v, want nothing", got)
	default:
	}
}

// piped dials nodes by net.Pipe, within a bubble of synctest.
type piped struct {
	began time.Time

	mu sync.Mutex
	// Guarded by mu.
	nodes  map[string]*fakeNode // by address; nobody listens at others
	dialed []string             // when, and the address
}

func newPiped() *piped { return &piped{began: time.Now(), nodes: map[string]*fakeNode{}} }

func (p *piped) dial(ctx context.Context, _ Lane, addr string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialed = append(p.dialed, fmt.Sprintf("%s %s", time.Since(p.began), addr))
	n := p.nodes[addr]
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if n == nil {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	go n.serve(theirs)
	return ours, nil
}

// up lets a node serve at an address, or with nil nobody.
func (p *piped) up(addr string, n *fakeNode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nodes[addr] = n
}

// dials are those since the last call.
func (p *piped) dials() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.dialed
	p.dialed = nil
	return d
}

// dialTCP connects over the real network.
func dialTCP(ctx context.Context, _ Lane, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}
