package wait

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var errLate, errLost = errors.New("late"), errors.New("lost")

func TestAcksAnswerExactlyOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var acks Acks
		reached := int64(0)
		var waiting, answered []int64
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "wait") {
				at := rapid.Int64Range(0, 100).Draw(t, "offset")
				waiting = append(waiting, at)
				acks.When(at, time.Time{}, func(err error) func() {
					if err != nil {
						t.Fatalf("offset %d: %v", at, err)
					}
					answered = append(answered, at)
					return func() {
						for _, w := range waiting {
							if w < reached && !slices.Contains(answered, w) {
								t.Fatalf("what %d returned ran before %d was told", at, w)
							}
						}
					}
				})
			} else {
				reached = max(reached, rapid.Int64Range(0, 100).Draw(t, "end"))
				before := len(answered)
				acks.Advance(reached)
				if !slices.IsSorted(answered[before:]) {
					t.Fatalf("answered out of order: %v", answered[before:])
				}
			}
			due := slices.DeleteFunc(slices.Clone(waiting), func(at int64) bool { return at >= reached })
			slices.Sort(due)
			got := slices.Sorted(slices.Values(answered))
			if !slices.Equal(due, got) {
				t.Fatalf("below %d wait %v, answered %v", reached, due, got)
			}
		}
	})
}

func TestAcksExpireOnlyTheLate(t *testing.T) {
	var acks Acks
	start := time.Unix(0, 0)
	got := map[int64]error{}
	note := func(at int64) func(error) func() { return func(err error) func() { got[at] = err; return nil } }
	acks.When(1, start.Add(time.Second), note(1))
	acks.When(2, start.Add(3*time.Second), note(2))
	acks.When(3, time.Time{}, note(3))

	acks.Expire(start.Add(2*time.Second), errLate)
	if len(got) != 1 || got[1] != errLate {
		t.Fatalf("after 2 s: %v, want only offset 1 late", got)
	}
	acks.Advance(4)
	if len(got) != 3 || got[2] != nil || got[3] != nil {
		t.Fatalf("after commit: %v, want 2 and 3 answered", got)
	}
}

func TestAcksFailNowAndLater(t *testing.T) {
	var acks Acks
	acks.Advance(5)
	var got []error
	note := func(err error) func() { got = append(got, err); return nil }
	acks.When(7, time.Time{}, note)
	acks.Fail(errLost)
	acks.When(8, time.Time{}, note)
	acks.When(4, time.Time{}, note) // was committed before the loss
	if !slices.Equal(got, []error{errLost, errLost, nil}) {
		t.Fatalf("got %v", got)
	}
}

func TestPollsWakeOnceUntilTaken(t *testing.T) {
	var here, there Polls
	p := NewPoll()
	here.Add(p)
	there.Add(p)
	here.Wake()
	there.Wake()
	<-p.Woken()
	select {
	case <-p.Woken():
		t.Fatal("woken twice for one look")
	default:
	}
	here.Remove(p)
	here.Wake()
	select {
	case <-p.Woken():
		t.Fatal("woken by a partition it left")
	default:
	}
}

// TestRefuse: those that wait are answered, and those that come later may wait.
func TestRefuse(t *testing.T) {
	var a Acks
	var answers []error
	note := func(err error) func() { answers = append(answers, err); return nil }
	a.When(3, time.Time{}, note)
	a.Refuse(errLost)
	a.When(4, time.Time{}, note)
	a.Advance(5)
	if len(answers) != 2 || !errors.Is(answers[0], errLost) || answers[1] != nil {
		t.Errorf("answered %v", answers)
	}
}
