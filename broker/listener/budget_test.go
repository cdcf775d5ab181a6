package listener

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudgetServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		if err := b.start(80, time.Second, nil); err != nil {
			t.Fatal(err)
		}
		got := make(chan int64, 3)
		for _, n := range []int64{50, 10, 60} {
			go func() {
				if b.start(n, time.Hour, nil) == nil {
					got <- n
				}
			}()
			synctest.Wait()
		}
		if len(got) != 0 {
			t.Fatalf("%d bytes overtook a claim that had waited longer", <-got)
		}
		b.give(80, false)
		synctest.Wait()
		if len(got) != 2 || b.Used() != 60 {
			t.Fatalf("%d are served with %d bytes in use, want 50 and 10", len(got), b.Used())
		}
		b.give(50, false)
		b.give(10, false)
		synctest.Wait()
		if b.Used() != 60 {
			t.Fatalf("%d bytes are in use, want 60", b.Used())
		}
	})
}

func TestBudgetWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		b.start(90, time.Second, nil)
		small := make(chan error, 1)
		began := time.Now()
		go func() {
			time.Sleep(time.Second)
			small <- b.start(10, time.Hour, nil) // stands behind the large one, which gives up
		}()
		if err := b.start(50, 5*time.Second, nil); !errors.Is(err, errBudgetSpent) || time.Since(began) != 5*time.Second {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
		if err := <-small; err != nil || b.Used() != 100 {
			t.Fatalf("%v with %d bytes in use", err, b.Used())
		}
		stop := make(chan struct{})
		close(stop)
		if err := b.start(1, time.Hour, stop); !errors.Is(err, errStopping) {
			t.Fatalf("stopped wait ended with %v", err)
		}
	})
}

func TestOneGrowsBeyondTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		b.start(50, 0, nil)
		b.start(50, 0, nil)
		beyond, err := b.grow(500, false, time.Second, nil)
		if err != nil || !beyond {
			t.Fatalf("the first that must grow: beyond %v, %v", beyond, err)
		}
		if again, err := b.grow(100, beyond, time.Second, nil); err != nil || !again {
			t.Fatalf("when it grows again: beyond %v, %v", again, err)
		}
		done := make(chan bool, 1)
		go func() {
			beyond, err := b.grow(20, false, time.Hour, nil)
			done <- err == nil && !beyond
		}()
		synctest.Wait()
		if len(done) != 0 {
			t.Fatal("a second grew beyond the budget as well")
		}
		b.give(650, true)
		if !<-done || b.Used() != 70 {
			t.Fatalf("the second did not grow when there was room; %d bytes in use", b.Used())
		}
	})
}

// TestRightToGrowBeyondPassesOn: who waits for it must not need another's bytes.
func TestRightToGrowBeyondPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		for range 2 {
			b.start(50, 0, nil)
		}
		b.grow(50, false, 0, nil)
		type result struct {
			beyond bool
			err    error
		}
		done := make(chan result, 1)
		go func() {
			beyond, err := b.grow(500, false, time.Second, nil)
			done <- result{beyond, err}
		}()
		synctest.Wait()
		b.give(100, true)
		if r := <-done; !r.beyond || r.err != nil {
			t.Fatalf("who waited: beyond %v, %v", r.beyond, r.err)
		}
		b.give(550, true)
		if beyond, err := b.grow(500, false, 0, nil); err != nil || beyond {
			t.Fatalf("alone: beyond %v, %v", beyond, err)
		}
	})
}

// TestRequestsThatGrowTogetherAllArrive has more and larger requests under way
// than the budget can hold at once.
func TestRequestsThatGrowTogetherAllArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, Config{}, echo)
		s.budget.limit = 256 << 10
		s.run(t)
		const clients, size = 8, 700_000
		results := make(chan int, clients)
		for range clients {
			conn := s.dial()
			go conn.Write(frameOf(metadata, 1, make([]byte, size)))
			go func() {
				_, body, _ := read(conn)
				results <- len(body)
			}()
		}
		for range clients {
			if got := <-results; got != size {
				t.Fatalf("%d bytes came back, want %d", got, size)
			}
		}
		s.stop()
	})
}

func TestConnectionEndsWhenMemoryStaysSpent(t *testing.T) {
	h := newHeld()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, Config{SlowTimeout: 2 * time.Second}, h.handle)
		s.budget.limit = 1024
		s.run(t)
		first, second := s.dial(), s.dial()
		send(t, first, frameOf(metadata, 1, make([]byte, 900)))
		r := <-h.begun
		began := time.Now()
		go second.Write(frameOf(metadata, 1, make([]byte, 900)))
		expectEnd(t, second)
		if time.Since(began) != 2*time.Second {
			t.Errorf("it waited %s", time.Since(began))
		}
		s.counts.ended(t, "memory", 1)
		r.ReleaseBody()
		third := s.dial()
		send(t, third, frameOf(metadata, 1, make([]byte, 900)))
		(<-h.begun).ReplyNothing()
		r.ReplyNothing()
		s.stop()
	})
}
