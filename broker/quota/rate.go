package quota

import (
	"math"
	"time"
)

// rate is how much is used a second, over the last windows. A use falls into the
// window of its time, and is forgotten with it.
type rate struct {
	samples []sample // at most one more than Windows.Num: the oldest may be over in part
	current int      // the newest of them
}

type sample struct {
	start, last time.Time // of the window, and of the last use in it
	used        float64
}

// record notes a use; a negative one takes an earlier back.
func (r *rate) record(w Windows, amount float64, now time.Time) {
	s := r.at(w, now)
	s.used += amount
	s.last = now
}

// at returns the window that now is in.
func (r *rate) at(w Windows, now time.Time) *sample {
	switch {
	case len(r.samples) == 0:
		r.samples = append(make([]sample, 0, w.Num+1), sample{start: now, last: now})
	case now.Sub(r.samples[r.current].start) < w.Size:
	case len(r.samples) <= w.Num:
		r.samples = append(r.samples, sample{start: now, last: now})
		r.current = len(r.samples) - 1
	default:
		r.current = (r.current + 1) % len(r.samples)
		r.samples[r.current] = sample{start: now, last: now}
	}
	return &r.samples[r.current]
}

// measure returns the use a second, and over how long it was measured: whole windows
// but for the one that is not over. Where there were fewer, they count as windows
// without any use, or the first second would seem busier than it is.
func (r *rate) measure(w Windows, now time.Time) (perSecond float64, over time.Duration) {
	sum, oldest := 0.0, now
	for i := range r.samples {
		s := &r.samples[i]
		if now.Sub(s.last) >= w.span() {
			*s = sample{start: now, last: now}
		}
		sum += s.used
		if s.start.Before(oldest) {
			oldest = s.start
		}
	}
	over = now.Sub(oldest)
	if missing := int64(w.Num-1) - int64(over/w.Size); missing > 0 {
		over += time.Duration(missing) * w.Size
	}
	over = max(over, time.Millisecond)
	return sum / over.Seconds(), over
}

// idle reports whether all that was used is forgotten.
func (r *rate) idle(w Windows, now time.Time) bool {
	for i := range r.samples {
		if now.Sub(r.samples[i].last) < w.span() {
			return false
		}
	}
	return true
}

// wait is how long nothing may be used for the rate to come down to the limit.
func wait(perSecond, limit float64, over time.Duration) time.Duration {
	if perSecond <= limit {
		return 0
	}
	return milliseconds((perSecond - limit) / limit * float64(over.Milliseconds()))
}

// longest bounds a wait, which a client is told in milliseconds of 32 bits.
const longest = math.MaxInt32 * time.Millisecond

// milliseconds is a wait in whole ones. A limit of zero would be waited for without end.
func milliseconds(ms float64) time.Duration {
	if math.IsNaN(ms) || ms >= math.MaxInt32 {
		return longest
	}
	return time.Duration(math.Round(ms)) * time.Millisecond
}

// tokens is a bucket that fills by the limit, up to what it yields in all windows, and
// may be overdrawn once.
type tokens struct {
	left float64
	at   time.Time // when left was that; zero: the bucket is full
}

// fill lets the time since the last look fill the bucket.
func (t *tokens) fill(w Windows, limit float64, now time.Time) {
	burst := limit * w.span().Seconds()
	if t.at.IsZero() {
		t.left = burst
	} else {
		t.left = min(burst, t.left+max(0, now.Sub(t.at).Seconds())*limit)
	}
	t.at = now
}

// wait is how long until the bucket is not overdrawn any more.
func (t *tokens) wait(limit float64) time.Duration {
	if t.left >= 0 {
		return 0
	}
	return milliseconds(-t.left / limit * 1000)
}
