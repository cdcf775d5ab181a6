package listener

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// held collects requests that a test finishes when it likes.
type held struct{ begun chan *Request }

func newHeld() held { return held{make(chan *Request, 100)} }

func (h held) handle(r *Request) { h.begun <- r }

// inBubble runs a test of a server in memory with synthetic time.
func inBubble(t *testing.T, config Config, handle handlerFunc, test func(t *testing.T, s *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, config, handle).run(t)
		test(t, s)
		s.stop()
	})
}

func TestNextRequestStartsWhenAllBeforeItAreAnswered(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second int16
		overlaps      bool
	}{
		{"two produces", produce, produce, true},
		{"fetch after produce", produce, fetch, false},
		{"produce after fetch", fetch, produce, false},
		{"two fetches", fetch, fetch, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHeld()
			inBubble(t, Config{}, h.handle, func(t *testing.T, s *server) {
				conn := s.dial()
				go conn.Write(slices.Concat(frameOf(c.first, 1, nil), frameOf(c.second, 2, nil)))
				first := <-h.begun
				synctest.Wait()
				if overlapped := len(h.begun) == 1; overlapped != c.overlaps {
					t.Fatalf("the second began while the first was pending: %v, want %v", overlapped, c.overlaps)
				}
				go first.Reply(Part{Bytes: []byte("a")})
				expect(t, conn, 1, "a")
				(<-h.begun).Reply(Part{Bytes: []byte("b")})
				expect(t, conn, 2, "b")
			})
		})
	}
}

func TestAnswersLeaveInTheOrderOfRequests(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 12).Draw(rt, "requests")
		order := rapid.Permutation(seq(n)).Draw(rt, "finished")
		silent := rapid.SliceOfN(rapid.Bool(), n, n).Draw(rt, "without answer")
		synctest.Test(t, func(t *testing.T) {
			h := newHeld()
			s := inMemory(t, Config{}, h.handle).run(t)
			conn := s.dial()
			var pending []*Request
			for i := range n {
				send(t, conn, frameOf(produce, int32(i), nil))
				pending = append(pending, <-h.begun)
			}
			for _, i := range order {
				if silent[i] {
					go pending[i].ReplyNothing()
				} else {
					go pending[i].Reply(Part{Bytes: fmt.Append(nil, i)})
				}
				synctest.Wait()
			}
			for i := range n {
				if !silent[i] {
					expect(t, conn, int32(i), fmt.Sprint(i))
				}
			}
			s.stop()
			if s.counts.answered != n {
				t.Fatalf("%d requests were counted as answered, want %d", s.counts.answered, n)
			}
		})
	})
}

func seq(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func TestPendingRequestsAreBounded(t *testing.T) {
	h := newHeld()
	inBubble(t, Config{MaxInFlight: 3}, h.handle, func(t *testing.T, s *server) {
		conn := s.dial()
		go func() {
			for i := range int32(5) {
				conn.Write(frameOf(produce, i, nil))
			}
		}()
		synctest.Wait()
		if len(h.begun) != 3 {
			t.Fatalf("%d requests were begun, want 3", len(h.begun))
		}
		(<-h.begun).Reply()
		expect(t, conn, 0, "")
		synctest.Wait()
		if len(h.begun) != 3 {
			t.Fatalf("%d requests are begun after one was answered, want 3", len(h.begun))
		}
		for range 4 {
			(<-h.begun).ReplyNothing()
		}
	})
}

func TestHangupComesAfterEarlierAnswers(t *testing.T) {
	h := newHeld()
	inBubble(t, Config{}, h.handle, func(t *testing.T, s *server) {
		conn := s.dial()
		go conn.Write(slices.Concat(frameOf(produce, 1, nil), frameOf(produce, 2, nil), frameOf(produce, 3, nil)))
		first, second, third := <-h.begun, <-h.begun, <-h.begun
		second.Hangup(fmt.Errorf("acks=0 failed"))
		third.Reply()
		go first.Reply(Part{Bytes: []byte("kept")})
		expect(t, conn, 1, "kept")
		expectEnd(t, conn)
		s.counts.ended(t, "handler", 1)
	})
}

func TestNothingStartsAfterHangup(t *testing.T) {
	h := newHeld()
	inBubble(t, Config{}, h.handle, func(t *testing.T, s *server) {
		conn := s.dial()
		go conn.Write(slices.Concat(frameOf(produce, 1, nil), frameOf(produce, 2, nil), frameOf(produce, 3, nil)))
		first, second, third := <-h.begun, <-h.begun, <-h.begun
		second.Hangup(nil)
		third.ReplyNothing()
		go conn.Write(frameOf(produce, 4, nil))
		synctest.Wait()
		if len(h.begun) != 0 {
			t.Fatal("a request was begun after one that hangs up")
		}
		first.ReplyNothing()
		expectEnd(t, conn)
	})
}

func TestSecondFinishIsLoggedAndReleased(t *testing.T) {
	released := 0
	part := func() Part { return Part{Bytes: []byte("x"), Release: func() { released++ }} }
	inBubble(t, Config{}, func(r *Request) {
		r.Reply(part(), part())
		r.Reply(part())
		r.ReplyNothing()
		r.Hangup(nil)
	}, func(t *testing.T, s *server) {
		conn := s.dial()
		send(t, conn, frameOf(metadata, 7, nil))
		expect(t, conn, 7, "xx")
		s.stop()
		if released != 3 {
			t.Errorf("%d parts were released, want 3", released)
		}
		if n := countLines(s.log.String(), "finished twice"); n != 3 {
			t.Errorf("%d lines say that a request was finished twice, want 3", n)
		}
	})
}

func TestPartsAreReleasedThoughNobodyReadsThem(t *testing.T) {
	h := newHeld()
	released := 0
	inBubble(t, Config{}, h.handle, func(t *testing.T, s *server) {
		conn := s.dial()
		go conn.Write(slices.Concat(frameOf(produce, 1, nil), frameOf(produce, 2, nil), frameOf(produce, 3, nil)))
		first, second, third := <-h.begun, <-h.begun, <-h.begun
		part := Part{Bytes: []byte("x"), Release: func() { released++ }}
		second.Reply(part) // waits behind the first
		synctest.Wait()
		first.Conn.shut(ending{"client", nil})
		first.Reply(part)
		third.Reply(part)
		synctest.Wait()
		if released != 3 {
			t.Fatalf("%d parts were released, want 3", released)
		}
	})
}

// TestAnswersBehindAFailedWriteAreReleased has the client go while one answer is
// being written and another waits for its turn.
func TestAnswersBehindAFailedWriteAreReleased(t *testing.T) {
	h := newHeld()
	var released atomic.Int32
	inBubble(t, Config{}, h.handle, func(t *testing.T, s *server) {
		conn := s.dial()
		send(t, conn, frameOf(produce, 1, nil), frameOf(produce, 2, nil))
		first, second := <-h.begun, <-h.begun
		synctest.Wait()
		for _, r := range []*Request{first, second} {
			r.Reply(Part{Bytes: []byte("x"), Release: func() { released.Add(1) }})
			synctest.Wait()
		}
		conn.Close()
		synctest.Wait()
		if n := released.Load(); n != 2 {
			t.Fatalf("%d parts were released, want 2", n)
		}
	})
}
