package listener

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestTimesAreTakenApart lets a first request be handled for 2 s, of which it
// waits 1 s for others, and be answered 3 s later by another goroutine; its
// second is read when the first was handled; it begins and is answered then, or has
// to wait for its turn.
func TestTimesAreTakenApart(t *testing.T) {
	first := Times{Local: time.Second, Remote: 4 * time.Second}
	for _, c := range []struct {
		name   string
		second int16
		want   Times
	}{
		{"answers wait for their order", produce, Times{Order: 3 * time.Second}},
		{"requests wait for their turn", fetch, Times{Turn: 3 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, Config{}, answerInTime, func(t *testing.T, s *server) {
				conn := s.dial()
				go conn.Write(slices.Concat(frameOf(produce, 1, nil), frameOf(c.second, 2, nil)))
				expect(t, conn, 1, "a")
				expect(t, conn, 2, "b")
				synctest.Wait()
				s.counts.mu.Lock()
				defer s.counts.mu.Unlock()
				var got []Times
				for _, served := range s.counts.served {
					got = append(got, served.Times)
				}
				if want := []Times{first, c.want}; !slices.Equal(got, want) {
					t.Fatalf("times %+v, want %+v", got, want)
				}
			})
		})
	}
}

// answerInTime takes the first request's time, and answers the second at once.
func answerInTime(r *Request) {
	if r.CorrelationID == 2 {
		r.Reply(Part{Bytes: []byte("b")})
		return
	}
	time.Sleep(2 * time.Second)
	r.Waited(time.Second)
	time.AfterFunc(3*time.Second, func() { r.Reply(Part{Bytes: []byte("a")}) })
}
