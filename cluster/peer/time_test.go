package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klamm-io/klamm/protocol/node"
)

// Tests in a bubble of synctest end only when all goroutines have, so they also prove
// that Run leaves none behind.

// inBubble runs a test with nodes that are dialed by net.Pipe.
func inBubble(t *testing.T, c Config, fn func(t *testing.T, h *harness, net *piped)) {
	synctest.Test(t, func(t *testing.T) {
		network := newPiped()
		h := start(t, c, network.dial)
		fn(t, h, network)
		h.stop()
	})
}

func expectDials(t *testing.T, network *piped, want ...string) {
	t.Helper()
	if got := network.dials(); !slices.Equal(got, want) {
		t.Errorf("dialed:\n %s\nwant:\n %s", strings.Join(got, "\n "), strings.Join(want, "\n "))
	}
}

// A node that owes an answer and is silent is given up after RequestTimeout.
func TestASilentNodeIsGivenUp(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		network.up("b", &fakeNode{id: 2, handle: func(*request) {}})
		began := time.Now()
		_, err := h.read(t.Context(), Target{2, "b", LaneControl}, 1)
		if err == nil || !strings.Contains(err.Error(), "no answer in 2s") || time.Since(began) != 2*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		h.expect(event{2, LaneControl, "reached"}, event{2, LaneControl, "broken"})
	})
}

// So is one whose answer nobody waits for any more.
func TestASilentNodeIsGivenUpWithoutAnAsker(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		network.up("b", &fakeNode{id: 2, handle: func(*request) {}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.read(ctx, Target{2, "b", LaneControl}, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		h.expect(event{2, LaneControl, "reached"}, event{2, LaneControl, "broken"})
		if passed := time.Since(network.began); passed != 2*time.Second {
			t.Errorf("after %s", passed)
		}
	})
}

// A node that takes its time for each of many requests is not silent.
func TestASlowNodeIsNotSilent(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		turns := make(chan *request, 5) // it reads on, as a socket does
		go func() {
			for r := range turns {
				time.Sleep(1500 * time.Millisecond)
				echo(r)
			}
		}()
		network.up("b", &fakeNode{id: 2, handle: func(r *request) { turns <- r }})
		errs := make(chan error)
		for i := range int64(5) {
			go func() {
				_, err := h.read(t.Context(), Target{2, "b", LaneControl}, i)
				errs <- err
			}()
		}
		for range 5 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		close(turns)
	})
}

// Nor is one that sends a large answer over a slow line.
func TestASlowAnswerIsNotSilence(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		network.up("b", &fakeNode{id: 2, handle: func(r *request) {
			large := (&node.ReadMetadataResponse{HighWatermark: 7, Snapshot: make([]byte, 3*piece)}).AppendTo(nil)
			r.conn.Write(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(4+len(large))), uint32(r.CorrelationID)))
			for part := range slices.Chunk(large, piece) {
				time.Sleep(1500 * time.Millisecond)
				r.conn.Write(part)
			}
		}})
		if got, err := h.read(t.Context(), Target{2, "b", LaneQuorum}, 1); err != nil || got != 7 {
			t.Errorf("got %d, %v", got, err)
		}
	})
}

// One that takes connections and says nothing, as a process that is stopped does.
func TestASilentGreeting(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		network.up("b", &fakeNode{id: 2, greet: func(*node.HelloRequest) *node.HelloResponse { return nil }})
		_, err := h.read(t.Context(), Target{2, "b", LaneControl}, 1)
		if !errors.Is(err, ErrNotSent) || time.Since(network.began) != time.Second {
			t.Errorf("after %s: %v", time.Since(network.began), err)
		}
		h.expect(event{2, LaneControl, "broken"})
	})
}

// An attempt that hangs ends with the address, and with Run.
func TestADialThatHangs(t *testing.T) {
	hang := func(ctx context.Context, _ Lane, addr string) (net.Conn, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("%s: %w", addr, context.Cause(ctx))
	}
	synctest.Test(t, func(t *testing.T) {
		h := start(t, config, hang)
		errs := make(chan error, 1)
		began := time.Now()
		go func() {
			_, err := h.read(t.Context(), Target{2, "old", LaneControl}, 1)
			errs <- err
		}()
		time.Sleep(300 * time.Millisecond)
		h.Post(Target{2, "new", LaneControl}, &node.ConsensusRequest{})
		if err := <-errs; !strings.Contains(err.Error(), "connect: new: context deadline exceeded") || time.Since(began) != 1300*time.Millisecond {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		h.expect(event{2, LaneControl, "broken"})
		h.Post(Target{2, "new", LaneControl}, &node.ConsensusRequest{})
		time.Sleep(100 * time.Millisecond)
		h.stop()
		h.expectQuiet()
	})
}

// A connection that has nothing to say says Hello now and then, so that neither end
// takes the other for gone; who does not answer is.
func TestAnIdleConnectionSaysHello(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		dumb := false
		n := &fakeNode{id: 2}
		n.greet = func(*node.HelloRequest) *node.HelloResponse {
			n.mu.Lock()
			defer n.mu.Unlock()
			if dumb {
				return nil
			}
			return &node.HelloResponse{NodeID: 2}
		}
		network.up("b", n)
		h.Watch([]Target{{2, "b", LaneWatch}})
		time.Sleep(11 * time.Second)
		if got := n.greeted(); got != 3 {
			t.Errorf("%d hellos in 11 s, want 3", got)
		}
		n.mu.Lock()
		dumb = true
		n.mu.Unlock()
		h.expect(event{2, LaneWatch, "reached"}, event{2, LaneWatch, "broken"})
		if passed := time.Since(network.began); passed != 17*time.Second {
			t.Errorf("noticed after %s, want 17s", passed)
		}
	})
}

// A Hello is refused later too, when the node has been told to go.
func TestAHelloThatIsRefusedLater(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		n := &fakeNode{id: 2}
		n.greet = func(*node.HelloRequest) *node.HelloResponse {
			if n.greeted() > 1 {
				return &node.HelloResponse{ErrorCode: 102, NodeID: 2}
			}
			return &node.HelloResponse{NodeID: 2}
		}
		network.up("b", n)
		h.Watch([]Target{{2, "b", LaneWatch}})
		h.expect(event{2, LaneWatch, "reached"}, event{2, LaneWatch, "broken"})
		if passed := time.Since(network.began); passed != 5*time.Second {
			t.Errorf("after %s", passed)
		}
	})
}

// While a node is watched and down it is tried again, soon at first and then every
// 100 ms, and all that is told.
func TestAWatchedNodeIsTriedAgain(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		h.Watch([]Target{{2, "b", LaneWatch}})
		time.Sleep(350 * time.Millisecond)
		expectDials(t, network, "0s b", "20ms b", "60ms b", "140ms b", "240ms b", "340ms b")
		for range 6 {
			h.expect(event{2, LaneWatch, "refused"})
		}
		n := &fakeNode{id: 2}
		network.up("b", n)
		time.Sleep(time.Second)
		expectDials(t, network, "440ms b")
		h.expect(event{2, LaneWatch, "reached"})
		network.up("b", nil)
		n.hangUp()
		h.expect(event{2, LaneWatch, "broken"}, event{2, LaneWatch, "refused"})
		synctest.Wait()
		expectDials(t, network, "1.35s b")
	})
}

// A node that is not watched and whose connection breaks is asked for until it is known
// what became of it: whoever connects while its process dies is hung up on.
func TestALostNodeIsAskedFor(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		n := &fakeNode{id: 2, handle: echo}
		network.up("b", n)
		h.expectRead(Target{2, "b", LaneControl}, 1)
		time.Sleep(time.Second)
		n.greet = func(*node.HelloRequest) *node.HelloResponse {
			go n.hangUp()
			return nil
		}
		n.hangUp()
		time.Sleep(5 * time.Millisecond)
		network.up("b", nil)
		time.Sleep(time.Minute)
		expectDials(t, network, "0s b", "1s b", "1.002s b", "1.006s b")
		h.expect(event{2, LaneControl, "reached"}, event{2, LaneControl, "broken"},
			event{2, LaneControl, "broken"}, event{2, LaneControl, "broken"}, event{2, LaneControl, "refused"})
		h.expectQuiet()
	})
}

// A node that never says what became of it is not asked for ever.
func TestALostNodeIsForgotten(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		n := &fakeNode{id: 2, handle: echo}
		network.up("b", n)
		h.expectRead(Target{2, "b", LaneControl}, 1)
		time.Sleep(time.Second)
		n.greet = func(*node.HelloRequest) *node.HelloResponse { return nil }
		n.hangUp()
		time.Sleep(time.Minute)
		if got := len(network.dials()); got < 5 || got > 11 {
			t.Errorf("dialed %d times", got)
		}
	})
}

// A new set replaces the former: what is in both stays, what is not is let go, and
// nobody is told that it broke.
func TestWatchReplacesTheSet(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		b, c := &fakeNode{id: 2}, &fakeNode{id: 3}
		network.up("b", b)
		network.up("c", c)
		h.Watch([]Target{{2, "b", LaneWatch}, {3, "c", LaneWatch}, {4, "d", LaneWatch}})
		time.Sleep(50 * time.Millisecond)
		network.dials()
		h.Watch([]Target{{3, "c", LaneWatch}})
		synctest.Wait()
		for len(h.events) > 0 {
			<-h.events
		}
		if _, err := b.conns[0].Write([]byte{0}); err == nil {
			t.Error("the connection that is not watched any more is there")
		}
		time.Sleep(time.Minute)
		expectDials(t, network)
		h.expectQuiet()
	})
}

// A connection on which somebody waits is not taken from him.
func TestAnAskersConnectionOutlivesItsWatch(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		network.up("b", &fakeNode{id: 2, handle: func(r *request) {
			time.Sleep(time.Second)
			echo(r)
		}})
		h.Watch([]Target{{2, "b", LaneControl}})
		synctest.Wait()
		go h.Watch(nil)
		h.expectRead(Target{2, "b", LaneControl}, 1)
	})
}

// Messages for a node that is down are tried with more and more patience, and those
// that wait when an attempt fails are lost.
func TestPostsToANodeThatIsDown(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		post := func(message byte) {
			h.Post(Target{2, "b", LaneQuorum}, &node.ConsensusRequest{Message: []byte{message}})
		}
		for range 230 {
			post(1)
			time.Sleep(10 * time.Millisecond)
		}
		expectDials(t, network, "0s b", "20ms b", "60ms b", "140ms b", "300ms b", "620ms b", "1.12s b", "1.62s b", "2.12s b")
		got := make(chan byte, 100)
		network.up("b", &fakeNode{id: 2, handle: func(r *request) { got <- r.body[len(r.body)-1] }})
		time.Sleep(time.Second)
		for len(got) > 0 {
			<-got
		}
		post(2)
		if b := <-got; b != 2 {
			t.Errorf("got %d", b)
		}
	})
}

// After a break messages find the new connection at once.
func TestPostsAfterABreak(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		got := make(chan byte, 10)
		n := &fakeNode{id: 2, handle: func(r *request) { got <- r.body[len(r.body)-1] }}
		network.up("b", n)
		h.Post(Target{2, "b", LaneQuorum}, &node.ConsensusRequest{Message: []byte{1}})
		time.Sleep(time.Second)
		n.hangUp()
		synctest.Wait()
		h.Post(Target{2, "b", LaneQuorum}, &node.ConsensusRequest{Message: []byte{2}})
		if a, b := <-got, <-got; a != 1 || b != 2 || time.Since(network.began) != time.Second {
			t.Errorf("got %d and %d after %s", a, b, time.Since(network.began))
		}
	})
}

// Posting never blocks, and what waits is bounded by number and by size.
func TestPostsOverflow(t *testing.T) {
	for _, size := range []int{1, 1 << 20} {
		inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
			read, got := make(chan struct{}), 0
			network.up("b", &fakeNode{id: 2, handle: func(*request) {
				<-read
				got++
			}})
			for i := range 2 * maxPosted {
				h.Post(Target{2, "b", LaneQuorum}, &node.ConsensusRequest{Message: make([]byte, size)})
				if i < 2 {
					synctest.Wait() // the first was read, and the second cannot be sent
				}
			}
			close(read)
			synctest.Wait()
			if most := 2 + min(maxPosted, maxPostedBytes/size); got > most || got < most-2 {
				t.Errorf("%d messages of %d bytes arrive, want %d", got, size, most)
			}
		})
	}
}

// A node that does not read what is sent is given up.
func TestANodeThatDoesNotRead(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		stuck := make(chan struct{})
		network.up("b", &fakeNode{id: 2, handle: func(*request) { <-stuck }})
		for range 2 {
			h.Post(Target{2, "b", LaneQuorum}, &node.ConsensusRequest{Message: []byte{1}})
			synctest.Wait()
		}
		h.expect(event{2, LaneQuorum, "reached"}, event{2, LaneQuorum, "broken"})
		if passed := time.Since(network.began); passed != 2*time.Second {
			t.Errorf("after %s", passed)
		}
		close(stuck)
	})
}

// A node that greets and hangs up is not dialed in a loop.
func TestANodeThatHangsUp(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		n := &fakeNode{id: 2}
		network.up("b", n)
		go func() {
			for range h.events { // reached, broken, reached, …
				n.hangUp()
			}
		}()
		h.Watch([]Target{{2, "b", LaneWatch}})
		time.Sleep(time.Second)
		if got := len(network.dials()); got < 10 || got > 20 {
			t.Errorf("%d attempts in 1 s, want some, and then one every 100 ms", got)
		}
		h.stop()
		close(h.events)
	})
}

// Who asks does not wait as long as messages do: he has his own patience.
func TestAskingCutsTheBackoffShort(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		for range 100 {
			h.Post(Target{2, "b", LaneQuorum}, &node.ConsensusRequest{})
			time.Sleep(10 * time.Millisecond)
		}
		network.up("b", &fakeNode{id: 2, handle: echo})
		h.expectRead(Target{2, "b", LaneQuorum}, 1)
		if passed := time.Since(network.began); passed != time.Second {
			t.Errorf("answered after %s", passed)
		}
	})
}

// What is asked before Run waits for it, and nobody who gives up is sent.
func TestAskingBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPiped()
		asked := 0
		network.up("b", &fakeNode{id: 2, handle: func(r *request) {
			asked++
			echo(r)
		}})
		p := New(config, Deps{Dial: network.dial, Logger: discard})
		to := Target{2, "b", LaneControl}
		early, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Request(early, to, &node.ReadMetadataRequest{}); !errors.Is(err, ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		expectDials(t, network)
		done := make(chan error, 1)
		go func() {
			_, err := p.Request(t.Context(), to, &node.ReadMetadataRequest{})
			done <- err
		}()
		synctest.Wait()
		ctx, stop := context.WithCancel(t.Context())
		go p.Run(ctx)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if asked != 1 {
			t.Errorf("%d requests arrive", asked)
		}
		stop()
	})
}

// A voter that stays out of reach is named once, with the reason, and not before a
// restart would be over; and when it is there again.
func TestAVoterOutOfReachIsNamed(t *testing.T) {
	inBubble(t, config, func(t *testing.T, h *harness, network *piped) {
		told := func(what string) int { return strings.Count(h.logged.text(), what) }
		post := func(times int) {
			for range times {
				h.Post(Target{2, "b", LaneQuorum}, &node.ConsensusRequest{Message: []byte("m")})
				h.Post(Target{3, "c", LaneControl}, &node.ConsensusRequest{Message: []byte("m")})
				time.Sleep(time.Second)
			}
		}
		post(9)
		if n := told("cannot be reached"); n != 0 {
			t.Errorf("told after 9 seconds:\n%s", h.logged.text())
		}
		post(20)
		if n := told(`msg="a voter of the quorum cannot be reached; start it`); n != 1 || told("node=2 addr=b err=") != 1 {
			t.Errorf("told %d times:\n%s", n, h.logged.text())
		}
		network.up("b", &fakeNode{id: 2, handle: echo})
		post(3)
		if n := told("is reached again"); n != 1 {
			t.Errorf("told %d times that it is back:\n%s", n, h.logged.text())
		}
	})
}
