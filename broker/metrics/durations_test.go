package metrics

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestQuantilesAreNearTheTruth compares with the durations themselves: a bucket's
// middle is off by a sixteenth at most, or by half a microsecond.
func TestQuantilesAreNearTheTruth(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		took := rapid.SliceOfN(rapid.Int64Range(0, int64(2*time.Minute)), 1, 300).Draw(rt, "took")
		d := newDurations()
		want := 0.0
		for _, n := range took {
			d.observe(time.Duration(n))
			want += float64(n) / 1e6
		}
		slices.Sort(took)
		count, sum, values := d.told(time.Now())
		if count != uint64(len(took)) || math.Abs(sum-want) > 1e-6*want {
			rt.Fatalf("%d in %v ms, want %d in %v", count, sum, len(took), want)
		}
		for _, q := range quantiles {
			truth := float64(took[int(math.Ceil(q*float64(len(took))))-1]) / 1e6
			if off := math.Abs(values[q] - truth); off > truth/16+0.0006 {
				rt.Fatalf("quantile %v is %v ms, in truth %v", q, values[q], truth)
			}
		}
	})
}

func TestQuantilesForgetWhatIsLongAgo(t *testing.T) {
	d := newDurations()
	now := d.since
	d.observe(time.Second)
	for i, want := range []bool{true, true, false} { // recent, before, forgotten
		count, _, values := d.told(now)
		if there := !math.IsNaN(values[.5]); there != want || count != 1 {
			t.Errorf("scrape %d: count %d, quantiles: %v, want them: %v", i, count, there, want)
		}
		now = now.Add(recentSpan)
	}
}

func BenchmarkObserve(b *testing.B) {
	d := newDurations()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d.observe(time.Millisecond)
		}
	})
}
