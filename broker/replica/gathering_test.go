package replica

import (
	"testing"
	"time"
)

// appendAll appends once to each of some partitions, and lets followers hear of it.
func (l *leader) appendAll(indexes ...int32) {
	l.t.Helper()
	for _, index := range indexes {
		l.append(index)
	}
}

// An answer waits for as many appends as the one before carried, but not for long.
func TestAnswerGathers(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for name, c := range map[string]struct {
		before, after []int32
		much          bool
		want          time.Duration
	}{
		"as many came before":        {before: []int32{0, 1}, after: []int32{0, 0}},
		"more came before":           {before: []int32{0, 1, 0}, after: []int32{1}, want: gatherMost},
		"one came, and one again":    {before: []int32{1}, after: []int32{0}},
		"nothing comes":              {before: []int32{0, 1}},
		"it has much to catch up":    {before: []int32{0, 1}, after: []int32{1}, much: true},
		"nothing was carried so far": {after: []int32{1}},
	} {
		l := newLeader(t, 2)
		l.fetch(0, 1)
		l.appendAll(c.before...)
		l.fetch()
		s, err := l.open(0, 1)
		if err != nil {
			t.Fatal(err)
		}
		s.much = c.much
		l.appendAll(c.after...)
		if got := s.Gather(now); got != c.want {
			t.Errorf("%s: waits for %v, want %v", name, got, c.want)
		}
		if got := s.Gather(now.Add(gatherMost)); got != 0 {
			t.Errorf("%s: waits for %v more", name, got)
		}
		s.Close()
	}
}

// A request that gathers is woken when as much is there as it waits for, and before
// that by what followers are to hear of at once.
func TestGatheringIsWokenOnce(t *testing.T) {
	l := newLeader(t, 2)
	l.fetch(0, 1)
	l.appendAll(0, 1, 0)
	l.fetch()
	s, err := l.open(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	woken := func() bool {
		select {
		case <-s.Woken():
			return true
		default:
			return false
		}
	}
	l.append(0)
	woken()
	if s.Gather(time.Now()) == 0 {
		t.Fatal("it does not gather")
	}
	l.append(1)
	if woken() {
		t.Error("woken by the second of three")
	}
	l.append(1)
	if !woken() {
		t.Error("not woken by the third")
	}
	l.partition(0).wakeAll()
	if !woken() {
		t.Error("not woken when the term ends")
	}
}
