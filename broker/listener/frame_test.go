package listener

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func countLines(text, with string) (n int) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, with) {
			n++
		}
	}
	return n
}

func TestForgedLengthsEndTheConnection(t *testing.T) {
	for _, c := range []struct {
		name   string
		length int32
		reason string
	}{
		{"negative", -1, "malformed"},
		{"most negative", -1 << 31, "malformed"},
		{"zero", 0, "malformed"},
		{"less than a header", 9, "malformed"},
		{"over the first frame's limit", 1<<20 + 1, "oversized"},
		{"largest", 1<<31 - 1, "oversized"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, Config{}, echo, func(t *testing.T, s *server) {
				conn := s.dial()
				send(t, conn, binary.BigEndian.AppendUint32(nil, uint32(c.length)))
				expectEnd(t, conn)
				s.counts.ended(t, c.reason, 1)
				synctest.Wait()
				if n := countLines(s.log.String(), "a connection is closed"); n != 1 {
					t.Errorf("%d lines in the log, want 1:\n%s", n, s.log)
				}
			})
		})
	}
}

func TestUnknownAPIEndsTheConnection(t *testing.T) {
	inBubble(t, Config{}, echo, func(t *testing.T, s *server) {
		conn := s.dial()
		send(t, conn, frameOf(12345, 1, nil))
		expectEnd(t, conn)
		s.counts.ended(t, "malformed", 1)
	})
}

func TestLimitOfTheFirstFrame(t *testing.T) {
	inBubble(t, Config{MaxUnknownRequestBytes: 100, MaxRequestBytes: 1000}, echo, func(t *testing.T, s *server) {
		conn := s.dial()
		for i, size := range []int{100, 1000} {
			body := bytes.Repeat([]byte{'x'}, size-10)
			go conn.Write(frameOf(metadata, int32(i), body))
			expect(t, conn, int32(i), string(body))
		}
		go conn.Write(frameOf(metadata, 3, make([]byte, 1001-10)))
		expectEnd(t, conn)
	})
}

func TestForgedLengthCostsNothing(t *testing.T) {
	inBubble(t, Config{SlowTimeout: time.Second}, (*Request).ReplyNothing, func(t *testing.T, s *server) {
		conn := s.dial()
		send(t, conn, frameOf(metadata, 1, nil))
		began := time.Now()
		send(t, conn, binary.BigEndian.AppendUint32(nil, 100<<20))
		synctest.Wait()
		if used := s.budget.Used(); used > believedLeast {
			t.Errorf("a length without bytes holds %d bytes", used)
		}
		expectEnd(t, conn)
		if took := time.Since(began); took > time.Second {
			t.Errorf("it held the connection for %s", took)
		}
		s.counts.ended(t, "slow", 1)
	})
}

// TestBeliefHasALimit: a client that sent much once is believed less the next time.
func TestBeliefHasALimit(t *testing.T) {
	inBubble(t, Config{}, (*Request).ReplyNothing, func(t *testing.T, s *server) {
		conn := s.dial()
		send(t, conn, frameOf(metadata, 1, nil), frameOf(metadata, 2, make([]byte, 2*believedMost)))
		send(t, conn, binary.BigEndian.AppendUint32(nil, 100<<20))
		synctest.Wait()
		if used := s.budget.Used(); used != believedMost {
			t.Errorf("a length without bytes holds %d bytes, want %d", used, believedMost)
		}
		conn.Close()
	})
}

// TestFramesArriveHoweverTheyAreCut sends frames of many sizes, cut at random.
func TestFramesArriveHoweverTheyAreCut(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	inBubble(t, Config{}, echo, func(t *testing.T, s *server) {
		conn := s.dial()
		var stream []byte
		var sizes []int
		for i, size := range []int{0, 1, 480, 498, 499, 500, 511, 512, 513, 1000, 2015, 2016, 2033, 2034, 2047, 2048, 2049, 65526, 65527, 70_000, 200_000, 500_000, 3, 300_000, 0} {
			sizes = append(sizes, size)
			body := bytes.Repeat([]byte{byte(i)}, size)
			for j := 0; j < size; j += 997 {
				body[j] = byte(j / 997)
			}
			stream = append(stream, frameOf(metadata, int32(i), body)...)
		}
		whole := slices.Clone(stream)
		go func() {
			for len(stream) > 0 {
				n := min(len(stream), 1+random.IntN(1<<random.IntN(18)))
				conn.Write(stream[:n])
				stream = stream[n:]
			}
		}()
		for i, size := range sizes {
			id, body := receive(t, conn)
			if want := whole[14 : 14+size]; id != int32(i) || !bytes.Equal(body, want) {
				t.Fatalf("frame %d of %d bytes came back as %d, %d bytes", i, size, id, len(body))
			}
			whole = whole[14+size:]
		}
	})
}

func TestByteAtATimeIsCut(t *testing.T) {
	frame := frameOf(metadata, 1, make([]byte, 100))
	for name, atOnce := range map[string]int{"in the length": 0, "in the body": 10} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{SlowTimeout: 2500 * time.Millisecond}, echo, func(t *testing.T, s *server) {
				conn := s.dial()
				conn.Write(frame[:atOnce])
				taken := 0
				for _, b := range frame[atOnce:] {
					if _, err := conn.Write([]byte{b}); err != nil {
						break
					}
					taken++
					time.Sleep(time.Second)
				}
				if taken > 3 {
					t.Errorf("%d bytes were taken at a byte a second", taken)
				}
				s.counts.ended(t, "slow", 1)
			})
		})
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	inBubble(t, Config{IdleTimeout: time.Minute}, echo, func(t *testing.T, s *server) {
		conn := s.dial()
		for range 10 { // ten times half the timeout is not idle
			time.Sleep(30 * time.Second)
			send(t, conn, frameOf(metadata, 1, nil))
			expect(t, conn, 1, "")
		}
		began := time.Now()
		var one [1]byte
		conn.Read(one[:])
		if took := time.Since(began); took < 56*time.Second || took > time.Minute {
			t.Errorf("closed after %s, want a minute or a sixteenth less", took)
		}
		s.counts.ended(t, "idle", 1)
	})
}

func TestPendingConnectionIsNotIdle(t *testing.T) {
	h := newHeld()
	inBubble(t, Config{IdleTimeout: time.Second}, h.handle, func(t *testing.T, s *server) {
		conn := s.dial()
		send(t, conn, frameOf(produce, 1, nil))
		r := <-h.begun
		time.Sleep(10 * time.Second)
		go r.Reply()
		expect(t, conn, 1, "")
	})
}
