package metrics

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// durations counts how long something took, as the JMX exporter tells it: how
// often since the start, and quantiles of what came lately. To note a duration
// takes no lock.
type durations struct {
	count  atomic.Uint64
	nanos  atomic.Int64
	recent atomic.Pointer[buckets]

	mu sync.Mutex
	// Guarded by mu.
	before *buckets  // what came before recent
	since  time.Time // when recent began
}

// recentSpan is for how long recent takes durations in: quantiles are of the last
// one to two of these, or of the time since the last scrape but one where scrapes
// are rarer.
const recentSpan = 5 * time.Minute

// quantiles are those that Kafka's own histograms have.
var quantiles = []float64{.5, .75, .95, .98, .99, .999}

func newDurations() *durations {
	d := &durations{before: new(buckets), since: time.Now()}
	d.recent.Store(new(buckets))
	return d
}

func (d *durations) observe(took time.Duration) {
	took = max(took, 0)
	d.count.Add(1)
	d.nanos.Add(int64(took))
	d.recent.Load()[bucketOf(took)].Add(1)
}

// told is how many there were since the start, how long they took together, and
// the quantiles of late, in milliseconds.
func (d *durations) told(now time.Time) (count uint64, sum float64, quantiles map[float64]float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.since) >= recentSpan {
		d.before, d.since = d.recent.Swap(new(buckets)), now
	}
	return d.count.Load(), float64(d.nanos.Load()) / 1e6, quantilesOf(d.before, d.recent.Load())
}

// buckets count durations by their size: eight buckets for each power of two, from
// 1 µs to four minutes, so that a bucket's middle is off by a sixteenth at most.
type buckets [208]atomic.Uint32

func bucketOf(d time.Duration) int {
	v := uint64(d) >> 10 // about a microsecond
	if v < 8 {
		return int(v)
	}
	power := bits.Len64(v) - 4
	return min(power*8+int(v>>power), len(buckets{})-1)
}

// middleOf is the middle of a bucket in milliseconds.
func middleOf(bucket int) float64 {
	low, width := float64(bucket), 1.0
	if bucket >= 16 {
		width = math.Exp2(float64(bucket/8 - 1))
		low = float64(bucket%8+8) * width
	}
	return (low + width/2) * 1024 / 1e6
}

// quantilesOf are the quantiles of two sets of buckets together, NaN where they
// are empty.
func quantilesOf(a, b *buckets) map[float64]float64 {
	var counts [len(buckets{})]uint64
	all := uint64(0)
	for i := range counts {
		counts[i] = uint64(a[i].Load()) + uint64(b[i].Load())
		all += counts[i]
	}
	values := map[float64]float64{}
	for _, q := range quantiles {
		values[q] = math.NaN()
		for i, below, rank := 0, uint64(0), uint64(math.Ceil(q*float64(all))); i < len(counts) && all > 0; i++ {
			if below += counts[i]; below >= rank {
				values[q] = middleOf(i)
				break
			}
		}
	}
	return values
}
