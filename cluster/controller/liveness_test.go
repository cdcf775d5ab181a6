package controller

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// clock is seconds after an arbitrary moment.
func clock(seconds float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func fourBrokers(t *testing.T) *metadata.Image {
	img := metadata.Empty()
	for id := range int32(4) {
		next, _, err := img.Apply([]metadata.Record{&metadata.BrokerRegistered{Broker: metadata.Broker{
			ID: id, Epoch: int64(10 + id), BrokerState: metadata.BrokerState{Fenced: id == 3}}}})
		if err != nil {
			t.Fatal(err)
		}
		img = next
	}
	return img
}

// TestOverdue: silence is waited out for the session, a broken connection for the
// grace; a heartbeat ends both.
func TestOverdue(t *testing.T) {
	img := fourBrokers(t)
	l := NewLiveness(9*time.Second, time.Second/2, img, 100, clock(0))
	l.Heard(1, 11, 100, clock(5))
	l.Suspect(2, clock(5))
	l.Suspect(2, clock(5.4)) // again: the grace counts from the first
	for _, step := range []struct {
		at   float64
		ids  []int32
		next float64
	}{{5, nil, 5.5}, {5.49, nil, 5.5}, {5.5, []int32{2}, 9}, {9, []int32{0, 2}, 14}, {14, []int32{0, 1, 2}, 0}} {
		ids, next := l.Overdue(img, clock(step.at))
		want := clock(step.next)
		if step.next == 0 {
			want = time.Time{}
		}
		if !slices.Equal(ids, step.ids) || !next.Equal(want) {
			t.Errorf("at %v: %v, look again at %v; want %v, %v", step.at, ids, next, step.ids, want)
		}
	}
	l.Heard(2, 12, 100, clock(5.6))
	if ids, _ := l.Overdue(img, clock(8)); len(ids) > 0 {
		t.Errorf("overdue %v after a heartbeat", ids)
	}
}

// TestConnectionsThatMislead: a broker that is reached is suspected no more, and one that
// comes back after it was overdue has only its silence counted against it.
func TestConnectionsThatMislead(t *testing.T) {
	img := fourBrokers(t)
	l := NewLiveness(9*time.Second, time.Second/2, img, 100, clock(0))
	require := func(at float64, why string, want ...int32) {
		t.Helper()
		ids, _ := l.Overdue(img, clock(at))
		if !slices.Equal(ids, want) {
			t.Errorf("at %v overdue are %v, want %v", at, ids, want)
		}
		for _, id := range ids {
			if got := l.Why(id); got != why {
				t.Errorf("at %v broker %d is overdue because %s", at, id, got)
			}
		}
	}
	l.Suspect(1, clock(1))
	l.Reached(1)
	require(2, "")
	l.Gone(1, clock(2))
	require(2, "nobody listens at its address: its process has ended", 1)
	l.Heard(1, 11, 100, clock(3))
	l.Gone(1, clock(3.5))
	l.Suspect(2, clock(3.5))
	require(5, "the connection to it broke, and it was not heard of since", 2)
	l.Heard(2, 12, 100, clock(5))
	l.Suspect(2, clock(6))
	require(8, "")
	require(9, "it was not heard of since it was registered, or since this controller was elected", 0)
	l.Heard(0, 10, 100, clock(9))
	require(12, "it was silent for too long (broker.session.timeout.ms=9000)", 1)
	l.Registered(1, 20, 110, clock(12)) // another process
	l.Gone(1, clock(12))
	require(12, "nobody listens at its address: its process has ended", 1)
}

// TestExpect: a new controller waits less for some.
func TestExpect(t *testing.T) {
	img := fourBrokers(t)
	l := NewLiveness(9*time.Second, time.Second/2, img, 100, clock(0))
	l.Expect(1, time.Second, clock(0))
	l.Expect(2, time.Second, clock(0))
	l.Expect(7, time.Second, clock(0))
	l.Heard(2, 12, 100, clock(0.5))
	if ids, next := l.Overdue(img, clock(1)); !slices.Equal(ids, []int32{1}) || !next.Equal(clock(9)) {
		t.Errorf("overdue %v, look again at %v", ids, next)
	}
}

func TestAlive(t *testing.T) {
	img := fourBrokers(t)
	l := NewLiveness(9*time.Second, time.Second/2, img, 100, clock(0))
	l.Suspect(1, clock(1))
	for id, want := range []bool{true, false, true, false, false} { // 1 suspected, 3 fenced, 4 unknown
		if l.Alive(img, int32(id), clock(2)) != want {
			t.Errorf("broker %d: alive is not %v", id, want)
		}
	}
	if l.Alive(img, 0, clock(9)) {
		t.Error("alive after its session")
	}
}

// TestProgress: a controller that was just elected waits for what it has not seen
// itself to be read.
func TestProgress(t *testing.T) {
	img := fourBrokers(t)
	l := NewLiveness(9*time.Second, time.Second/2, img, 100, clock(0))
	if p := l.Progress(img, 1); p != (Progress{Registered: 100, Moved: 100, Lowest: -1}) {
		t.Errorf("at first %+v", p)
	}
	l.Registered(3, 13, 120, clock(1))
	l.Moved(1, 130)
	l.Moved(7, 130)
	for id, offset := range []int64{125, 140, 131} {
		l.Heard(int32(id), int64(10+id), offset, clock(1))
	}
	if p := l.Progress(img, 3); p != (Progress{Registered: 120, Moved: 120, Lowest: 125}) {
		t.Errorf("a fenced broker %+v", p)
	}
	if p := l.Progress(img, 1); p.Moved != 130 || p.Lowest != 125 {
		t.Errorf("a broker that moved %+v", p)
	}
	if p := l.Progress(metadata.Empty(), 1); p.Lowest != math.MaxInt64 {
		t.Errorf("nobody else to wait for: %+v", p)
	}
	l.Heard(2, 99, 150, clock(2)) // another epoch is another broker
	if p := l.Progress(img, 2); p.Registered != 100 {
		t.Errorf("another epoch %+v", p)
	}
}
