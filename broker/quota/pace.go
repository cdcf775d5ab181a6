package quota

import (
	"sync"
	"time"
)

// Pace keeps something from happening more often than so many times a second, over the
// same windows as quotas. It is safe for concurrent use.
type Pace struct {
	windows Windows
	limit   float64

	mu sync.Mutex
	// Guarded by mu.
	rate rate
}

// NewPace returns a pace of at most limit a second.
func NewPace(w Windows, limit float64) *Pace { return &Pace{windows: w, limit: limit} }

// Take notes that it happens once more, and returns how long later it is to: at most one
// window.
func (p *Pace) Take(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate.record(p.windows, 1, now)
	perSecond, over := p.rate.measure(p.windows, now)
	return min(wait(perSecond, p.limit, over), p.windows.Size)
}
