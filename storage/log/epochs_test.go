package log

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/storage/disk"
)

// someEpochs has records of the epochs 2, 5 and 6.
func someEpochs() *epochs {
	return &epochs{starts: []epochStart{{2, 10}, {5, 20}, {6, 35}}}
}

func TestAssignEpoch(t *testing.T) {
	for _, c := range []struct {
		name  string
		epoch int32
		start int64
		want  []epochStart // nil: nothing changes
	}{
		{"the next", 7, 40, []epochStart{{2, 10}, {5, 20}, {6, 35}, {7, 40}}},
		{"the latest again", 6, 40, nil},
		{"the latest, at its start", 6, 35, nil},
		{"the latest, earlier than known", 6, 30, []epochStart{{2, 10}, {5, 20}, {6, 30}}},
		{"the latest, before others", 6, 15, []epochStart{{2, 10}, {6, 15}}},
		{"an older one", 5, 40, nil},
		{"one between", 4, 40, nil},
		{"none", -1, 40, nil},
		{"the next where the latest has no record", 7, 35, []epochStart{{2, 10}, {5, 20}, {7, 35}}},
		{"the next where several have none", 7, 20, []epochStart{{2, 10}, {7, 20}}},
		{"the next where none has any", 7, 0, []epochStart{{7, 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := someEpochs()
			changed := e.assign(c.epoch, c.start)
			want := c.want
			if want == nil {
				want = someEpochs().starts
			}
			if changed != (c.want != nil) || !slices.Equal(e.starts, want) {
				t.Errorf("got %v, changed %v; want %v", e.starts, changed, want)
			}
		})
	}
	e := &epochs{}
	if !e.assign(0, 0) || e.latest() != 0 {
		t.Errorf("the first epoch: got %v", e.starts)
	}
}

func TestEndOffsetForEpoch(t *testing.T) {
	for _, c := range []struct {
		name      string
		requested int32
		epoch     int32
		end       int64
	}{
		{"none", -1, -1, -1},
		{"before the first", 1, 1, 10},
		{"the first", 2, 2, 20},
		{"between", 3, 2, 20},
		{"just before the next", 4, 2, 20},
		{"the one before the latest", 5, 5, 35},
		{"the latest", 6, 6, 50},
		{"beyond the latest", 7, -1, -1},
	} {
		if epoch, end := someEpochs().endOffsetFor(c.requested, 50); epoch != c.epoch || end != c.end {
			t.Errorf("%s (%d): got epoch %d, end %d; want %d, %d", c.name, c.requested, epoch, end, c.epoch, c.end)
		}
	}
	for _, requested := range []int32{-1, 0, 5} {
		if epoch, end := new(epochs).endOffsetFor(requested, 50); epoch != -1 || end != -1 {
			t.Errorf("without epochs, %d: got %d, %d; want -1, -1", requested, epoch, end)
		}
	}
}

func TestEpochAt(t *testing.T) {
	for offset, want := range map[int64]int32{0: -1, 9: -1, 10: 2, 19: 2, 20: 5, 34: 5, 35: 6, 1000: 6} {
		if got := someEpochs().epochAt(offset); got != want {
			t.Errorf("at %d: got %d, want %d", offset, got, want)
		}
	}
}

func TestTruncateEpochs(t *testing.T) {
	for end, want := range map[int64][]epochStart{
		0: {}, 10: {}, 11: {{2, 10}}, 20: {{2, 10}}, 21: {{2, 10}, {5, 20}}, 35: {{2, 10}, {5, 20}}, 36: someEpochs().starts, 90: someEpochs().starts,
	} {
		e := someEpochs()
		if changed := e.truncateFrom(end); changed != (len(want) < 3) || !slices.Equal(e.starts, want) {
			t.Errorf("from %d: got %v, changed %v; want %v", end, e.starts, changed, want)
		}
	}
	for start, want := range map[int64][]epochStart{
		0: someEpochs().starts, 9: someEpochs().starts, 10: someEpochs().starts,
		11: {{2, 11}, {5, 20}, {6, 35}}, 20: {{5, 20}, {6, 35}}, 34: {{5, 34}, {6, 35}}, 35: {{6, 35}}, 90: {{6, 90}},
	} {
		e := someEpochs()
		if changed := e.truncateTo(start); changed != (start > 10) || !slices.Equal(e.starts, want) {
			t.Errorf("to %d: got %v, changed %v; want %v", start, e.starts, changed, want)
		}
	}
	if e := new(epochs); e.truncateFrom(0) || e.truncateTo(9) || e.latest() != -1 {
		t.Error("there is nothing to truncate without epochs")
	}
}

func TestEpochsFile(t *testing.T) {
	m := disk.NewMemory()
	if e, err := readEpochs(m, "f"); err != nil || len(e.starts) != 0 {
		t.Fatalf("a file that is not there: got %v, %v", e, err)
	}
	if err := someEpochs().write(m, "f"); err != nil {
		t.Fatal(err)
	}
	if got, want := contentOf(t, m, "f"), "0\n3\n2 10\n5 20\n6 35\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
	if e, err := readEpochs(m, "f"); err != nil || !slices.Equal(e.starts, someEpochs().starts) {
		t.Errorf("read back %v, %v", e, err)
	}
	for content, line := range map[string]string{
		"1\n0\n":             "line 1",
		"0\n2\n1 0\n":        "line 2",
		"0\n1\n1\n":          "line 3",
		"0\n1\n1 0 5\n":      "line 3",
		"0\n1\nx 0\n":        "line 3",
		"0\n1\n-1 0\n":       "line 3",
		"0\n1\n1 x\n":        "line 3",
		"0\n2\n1 0\n1 5\n":   "line 4",
		"0\n2\n1 5\n2 5\n":   "line 4",
		"0\n2\n3 0\n2 5\n":   "line 4",
		"0\n1\n\x00\x00\x00": "line 3",
	} {
		_, err := readEpochs(memoryWith(t, "leader-epoch-checkpoint", content), "leader-epoch-checkpoint")
		wantProblem(t, err, "leader-epoch-checkpoint", line)
	}
}

// Whatever is assigned, in any order and between truncations: epochs and their
// starts ascend, and what an epoch ends at is where the next begins.
func TestEpochsStayInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &epochs{}
		epoch, offset := rapid.Int32Range(-1, 8), rapid.Int64Range(0, 30)
		t.Repeat(map[string]func(*rapid.T){
			"assign": func(t *rapid.T) {
				n, before := epoch.Draw(t, "epoch"), e.latest()
				e.assign(n, offset.Draw(t, "start"))
				if e.latest() != max(n, before) {
					t.Fatalf("assigned %d after %d, the latest is %d", n, before, e.latest())
				}
			},
			"truncate from": func(t *rapid.T) { e.truncateFrom(offset.Draw(t, "end")) },
			"truncate to":   func(t *rapid.T) { e.truncateTo(offset.Draw(t, "start")) },
			"": func(t *rapid.T) {
				for i, s := range e.starts {
					if i > 0 && (s.epoch <= e.starts[i-1].epoch || s.start <= e.starts[i-1].start) {
						t.Fatalf("not in order: %v", e.starts)
					}
					if e.epochAt(s.start) != s.epoch {
						t.Fatalf("epoch at %d is %d: %v", s.start, e.epochAt(s.start), e.starts)
					}
					found, end := e.endOffsetFor(s.epoch, 100)
					if found != s.epoch || (i+1 < len(e.starts) && end != e.starts[i+1].start) || (i+1 == len(e.starts) && end != 100) {
						t.Fatalf("epoch %d ends at %d: %v", s.epoch, end, e.starts)
					}
				}
			},
		})
	})
}
