package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol/node"
)

// Many ask at once over one connection; each gets his own answer.
func TestAnswersFindTheirRequests(t *testing.T) {
	n := &fakeNode{id: 2, handle: echo}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	var asking sync.WaitGroup
	for i := range int64(200) {
		asking.Go(func() {
			if got, err := h.read(t.Context(), Target{2, addr, LaneControl}, i); err != nil || got != i {
				t.Errorf("asked for %d: got %d, %v", i, got, err)
			}
		})
	}
	asking.Wait()
	if n.greeted() != 1 {
		t.Errorf("%d connections, want one", n.greeted())
	}
	h.expect(event{2, LaneControl, "reached"})
}

// The first thing said is who this node is.
func TestHelloComesFirst(t *testing.T) {
	n := &fakeNode{id: 2, handle: echo}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	h.expectRead(Target{2, addr, LaneControl}, 5)
	want := node.HelloRequest{ClusterID: "the-cluster", NodeID: 1, Incarnation: [16]byte{1, 2, 3}}
	if len(n.hellos) != 1 || *n.hellos[0] != want {
		t.Errorf("got %v, want %v", n.hellos, &want)
	}
}

// Each lane has a connection of its own: what waits on one holds up no other.
func TestLanesAreApart(t *testing.T) {
	release := make(chan struct{})
	n := &fakeNode{id: 2, handle: func(r *request) {
		if indexOf(r) == 1 {
			<-release
		}
		echo(r)
	}}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	slow := make(chan error, 1)
	go func() {
		_, err := h.read(t.Context(), Target{2, addr, LaneQuorum}, 1)
		slow <- err
	}()
	h.expectRead(Target{2, addr, LaneControl}, 2)
	close(release)
	if err := <-slow; err != nil {
		t.Error(err)
	}
}

// Requests of Kafka's go at the highest version that is served, whatever was set, and
// their headers are flexible where the version's are.
func TestKafkasRequestsAreSpoken(t *testing.T) {
	n := &fakeNode{id: 2, handle: func(r *request) {
		var req kmsg.DescribeClusterRequest
		req.SetVersion(r.Version)
		if err := req.ReadFrom(r.body); err != nil || r.Version != 2 || r.ClientID == nil || *r.ClientID != "klamm-node-1" {
			t.Errorf("got version %d of client %v, %v", r.Version, r.ClientID, err)
		}
		r.reply(&kmsg.DescribeClusterResponse{ClusterID: "the-cluster", ControllerID: 7})
	}}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	resp, err := h.Request(t.Context(), Target{2, addr, LaneControl}, kmsg.NewPtrDescribeClusterRequest())
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.(*kmsg.DescribeClusterResponse); got.ControllerID != 7 || got.Version != 2 {
		t.Errorf("got %+v", got)
	}
}

// Who listens at an address of the configuration need not be known.
func TestAnUnknownNodeMayBeAnybody(t *testing.T) {
	addr, _ := (&fakeNode{id: 17, handle: echo}).listen(t)
	h := startOnTCP(t)
	h.expectRead(Target{-2, addr, LaneQuorum}, 5)
}

// A message that is posted arrives, and in order with the others.
func TestPostsArriveInOrder(t *testing.T) {
	got := make(chan byte, 200)
	n := &fakeNode{id: 2, handle: func(r *request) {
		var req node.ConsensusRequest
		if err := req.ReadFrom(r.body); err != nil {
			t.Error(err)
		}
		got <- req.Message[0]
	}}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	for i := range 200 {
		h.Post(Target{2, addr, LaneQuorum}, &node.ConsensusRequest{Message: []byte{byte(i)}})
	}
	for i := range 200 {
		if b := <-got; b != byte(i) {
			t.Fatalf("message %d comes as number %d", b, i)
		}
	}
}

// An answer larger than what is believed of a length arrives whole.
func TestALargeAnswer(t *testing.T) {
	large := make([]byte, 2*believed+12345)
	rand.NewChaCha8([32]byte{1}).Read(large)
	n := &fakeNode{id: 2, handle: func(r *request) { r.reply(&node.ReadMetadataResponse{Snapshot: large}) }}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	resp, err := h.Request(t.Context(), Target{2, addr, LaneQuorum}, &node.ReadMetadataRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(resp.(*node.ReadMetadataResponse).Snapshot, large) {
		t.Error("it is another")
	}
}

// Who asks again and again has his answers read into the same memory while they fit,
// and into larger where they do not.
func TestAnswersUseMemoryAgain(t *testing.T) {
	n := &fakeNode{id: 2, handle: func(r *request) {
		large := bytes.Repeat([]byte{7}, int(indexOf(r)))
		r.reply(&node.ReadMetadataResponse{Snapshot: large})
	}}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	var memory []byte
	for _, step := range []struct {
		size  int64
		moves bool // the memory is other memory afterwards
	}{{5000, true}, {4000, false}, {5000, false}, {6000, true}, {9000, false}, {keptMost + 1, true}, {100, true}} {
		before := memory[:cap(memory)]
		resp, err := h.RequestInto(t.Context(), Target{2, addr, LaneReplication}, &node.ReadMetadataRequest{Index: step.size}, &memory)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.(*node.ReadMetadataResponse).Snapshot; !bytes.Equal(got, bytes.Repeat([]byte{7}, int(step.size))) {
			t.Fatalf("asked for %d bytes, got %d", step.size, len(got))
		}
		after := memory[:cap(memory)]
		if moved := len(before) == 0 || len(after) == 0 || &before[0] != &after[0]; moved != step.moves {
			t.Errorf("answer of %d bytes: other memory %v, want %v", step.size, moved, step.moves)
		}
	}
}

// Memory is not used again that an answer may still come into which nobody waits for.
func TestMemoryIsLeftToALateAnswer(t *testing.T) {
	release, arrived := make(chan struct{}), make(chan struct{})
	n := &fakeNode{id: 2, handle: func(r *request) {
		close(arrived)
		<-release
		echo(r)
	}}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		<-arrived
		giveUp()
	}()
	memory := make([]byte, 1000)
	if _, err := h.RequestInto(ctx, Target{2, addr, LaneReplication}, &node.ReadMetadataRequest{}, &memory); err == nil || memory != nil {
		t.Errorf("given up with %v, %d bytes of memory are left", err, len(memory))
	}
	close(release)
}

// When a connection breaks, who waits hears so, and that what he asked may have been
// done; the next request finds a new connection.
func TestABrokenConnectionFailsWhatWaits(t *testing.T) {
	arrived := make(chan struct{}, 3)
	n := &fakeNode{id: 2}
	n.handle = func(r *request) {
		if indexOf(r) == 4 {
			echo(r)
			return
		}
		arrived <- struct{}{}
		if len(arrived) == cap(arrived) {
			n.hangUp()
		}
	}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	errs := make(chan error, 3)
	for i := range 3 {
		go func() {
			_, err := h.read(t.Context(), Target{2, addr, LaneControl}, int64(i))
			errs <- err
		}()
	}
	for range 3 {
		if err := <-errs; err == nil || errors.Is(err, ErrNotSent) {
			t.Errorf("got %v", err)
		}
	}
	h.expect(event{2, LaneControl, "reached"}, event{2, LaneControl, "broken"}, event{2, LaneControl, "reached"})
	h.expectRead(Target{2, addr, LaneControl}, 4)
}

// A process that is killed is noticed at once, also while nothing is asked of it.
func TestAKilledNodeIsNoticed(t *testing.T) {
	addr, kill := (&fakeNode{id: 2, handle: echo}).listen(t)
	h := startOnTCP(t)
	h.expectRead(Target{2, addr, LaneControl}, 4)
	h.expect(event{2, LaneControl, "reached"})
	kill()
	h.expect(event{2, LaneControl, "broken"}, event{2, LaneControl, "refused"})
}

func TestARefusedConnection(t *testing.T) {
	addr, kill := (&fakeNode{id: 2}).listen(t)
	kill()
	h := startOnTCP(t)
	_, err := h.read(t.Context(), Target{2, addr, LaneControl}, 1)
	if !errors.Is(err, syscall.ECONNREFUSED) || !errors.Is(err, ErrNotSent) || !strings.Contains(err.Error(), "ask node 2 at "+addr+" for NodeReadMetadata") {
		t.Errorf("got %v", err)
	}
	h.expect(event{2, LaneControl, "refused"})
	h.expectQuiet()
}

// A node that does not want to talk to this one says why, to who asks and once to the log.
func TestARefusedHello(t *testing.T) {
	sentence := "node 1 is of cluster the-cluster, this is cluster another"
	n := &fakeNode{id: 2, greet: func(*node.HelloRequest) *node.HelloResponse {
		return &node.HelloResponse{ErrorCode: kerr.InconsistentClusterID.Code, ErrorMessage: &sentence, NodeID: 2}
	}}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	for range 3 {
		_, err := h.read(t.Context(), Target{2, addr, LaneControl}, 1)
		if !errors.Is(err, kerr.InconsistentClusterID) || !errors.Is(err, ErrNotSent) || !strings.Contains(err.Error(), sentence) {
			t.Fatalf("got %v", err)
		}
		h.expect(event{2, LaneControl, "broken"})
	}
	if got := strings.Count(h.logged.text(), sentence); got != 1 {
		t.Errorf("logged %d times:\n%s", got, h.logged.text())
	}
}

func TestAnotherNodeIsNotTheOne(t *testing.T) {
	addr, _ := (&fakeNode{id: 3, handle: echo}).listen(t)
	h := startOnTCP(t)
	_, err := h.read(t.Context(), Target{2, addr, LaneControl}, 1)
	if err == nil || !strings.Contains(err.Error(), "node 3 is there, and not node 2") {
		t.Errorf("got %v", err)
	}
}

// An answer that cannot be one ends the connection.
func TestAnswersThatAreNone(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(*request)
		want   string
	}{
		{"to another request", func(r *request) { r.conn.send(r.CorrelationID+1, nil) }, "that to 1 is next"},
		{"too long", func(r *request) { r.conn.Write([]byte{0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1}) }, "an answer of 2147483647 bytes"},
		{"of a negative length", func(r *request) { r.conn.Write([]byte{0xff, 0xff, 0xff, 0xff}) }, "an answer of 4294967295 bytes"},
		{"too short", func(r *request) { r.conn.Write([]byte{0, 0, 0, 3, 0, 0, 1}) }, "an answer of 3 bytes"},
		{"cut off", func(r *request) { r.conn.Write([]byte{0, 0, 0, 30, 0, 0}); r.conn.Close() }, "the node closed the connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, _ := (&fakeNode{id: 2, handle: c.answer}).listen(t)
			h := startOnTCP(t)
			if _, err := h.read(t.Context(), Target{2, addr, LaneControl}, 1); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			h.expect(event{2, LaneControl, "reached"}, event{2, LaneControl, "broken"})
		})
	}
}

// One to nothing does so too.
func TestAnAnswerToNothing(t *testing.T) {
	n := &fakeNode{id: 2, handle: func(r *request) {
		echo(r)
		r.conn.send(r.CorrelationID, nil)
	}}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	h.expectRead(Target{2, addr, LaneControl}, 1)
	h.expect(event{2, LaneControl, "reached"}, event{2, LaneControl, "broken"})
}

// An answer that does not decode is the asker's alone: the next one does.
func TestAnAnswerThatDoesNotDecode(t *testing.T) {
	n := &fakeNode{id: 2, handle: func(r *request) {
		if indexOf(r) == 1 {
			r.conn.send(r.CorrelationID, []byte{1})
			return
		}
		echo(r)
	}}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	if _, err := h.read(t.Context(), Target{2, addr, LaneControl}, 1); err == nil || !strings.Contains(err.Error(), "decode the answer") {
		t.Errorf("got %v", err)
	}
	h.expectRead(Target{2, addr, LaneControl}, 2)
}

// When a node has moved, its old connection ends and the next request goes to the new
// address. Nobody is told that anything broke.
func TestANodeThatMoves(t *testing.T) {
	asked := make(chan struct{})
	old := &fakeNode{id: 2, handle: func(*request) { close(asked) }}
	oldAddr, _ := old.listen(t)
	newAddr, _ := (&fakeNode{id: 2, handle: echo}).listen(t)
	h := startOnTCP(t)
	waiting := make(chan error, 1)
	go func() {
		_, err := h.read(t.Context(), Target{2, oldAddr, LaneControl}, 1)
		waiting <- err
	}()
	<-asked
	h.expectRead(Target{2, newAddr, LaneControl}, 2)
	if err := <-waiting; !errors.Is(err, errMoved) {
		t.Errorf("who waited got %v", err)
	}
	h.expect(event{2, LaneControl, "reached"}, event{2, LaneControl, "reached"})
	h.expectQuiet()
}

// Who gives up gets his time back; his answer goes to nobody.
func TestTheAskerGivesUp(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	n := &fakeNode{id: 2, handle: func(r *request) {
		if indexOf(r) == 1 {
			close(asked)
			<-release
		}
		echo(r)
	}}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := h.read(ctx, Target{2, addr, LaneControl}, 1); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNotSent) {
		t.Errorf("got %v", err)
	}
	close(release)
	h.expectRead(Target{2, addr, LaneControl}, 2)
	if n.greeted() != 1 {
		t.Errorf("%d connections, want one", n.greeted())
	}
}

// What has no answer cannot be asked, and what no node serves not be sent.
func TestRequestsThatNobodyAnswers(t *testing.T) {
	h := startOnTCP(t)
	for _, req := range []kmsg.Request{&node.ConsensusRequest{}, kmsg.NewPtrSASLHandshakeRequest()} {
		if _, err := h.Request(t.Context(), Target{2, "127.0.0.1:1", LaneControl}, req); !errors.Is(err, ErrNotSent) {
			t.Errorf("%T: %v", req, err)
		}
	}
}

// When Run ends, connections are closed and who waits hears it; so does who comes after.
func TestRunEndsEverything(t *testing.T) {
	asked := make(chan struct{})
	n := &fakeNode{id: 2, handle: func(*request) { close(asked) }}
	addr, _ := n.listen(t)
	h := startOnTCP(t)
	waiting := make(chan error, 1)
	go func() {
		_, err := h.read(t.Context(), Target{2, addr, LaneControl}, 1)
		waiting <- err
	}()
	<-asked
	h.stop()
	if err := <-waiting; !errors.Is(err, ErrStopped) || errors.Is(err, ErrNotSent) {
		t.Errorf("who waited got %v", err)
	}
	if _, err := h.read(t.Context(), Target{2, addr, LaneControl}, 1); !errors.Is(err, ErrStopped) || !errors.Is(err, ErrNotSent) {
		t.Errorf("who came late got %v", err)
	}
	h.Post(Target{2, addr, LaneQuorum}, &node.ConsensusRequest{})
	h.Watch([]Target{{2, addr, LaneWatch}})
	h.expect(event{2, LaneControl, "reached"})
	h.expectQuiet()
}

// A listener of another protocol hangs up, or says what makes no sense.
func TestWhoeverListensThere(t *testing.T) {
	for name, says := range map[string]string{
		"hangs up":      "",
		"speaks HTTP":   "HTTP/1.1 400 Bad Request\r\n\r\n",
		"answers other": string(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 12, 0, 0, 0, 9, 0, 0, 0xff, 0xff}, 2)),
		"answers short": "\x00\x00\x00\x05\x00\x00\x00\x00\x01",
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				if conn, err := ln.Accept(); err == nil {
					conn.Write([]byte(says))
					conn.Read(make([]byte, 1000))
					conn.Close()
				}
			}()
			h := startOnTCP(t)
			if _, err := h.read(t.Context(), Target{2, ln.Addr().String(), LaneControl}, 1); !errors.Is(err, ErrNotSent) || !strings.Contains(err.Error(), "say hello") {
				t.Errorf("got %v", err)
			}
			h.expect(event{2, LaneControl, "broken"})
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	n := &fakeNode{id: 2, handle: echo}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if conn, err := ln.Accept(); err == nil {
			n.serve(conn)
		}
	}()
	p := New(config, Deps{Dial: dialTCP})
	p.deps.Logger = discard
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go p.Run(ctx)
	to := Target{2, ln.Addr().String(), LaneControl}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Request(ctx, to, &node.ReadMetadataRequest{}); err != nil {
			b.Fatal(err)
		}
	}
}
