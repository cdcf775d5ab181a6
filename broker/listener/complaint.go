package listener

import (
	"log/slog"
	"sync"
	"time"
)

// What is logged of one kind of complaint: so many lines at once, and then one
// for each interval. A client that misbehaves in a loop must not fill the disk.
const (
	complaintsAtOnce  = 20
	complaintInterval = time.Second
)

// complaint is a log line that is written a bounded number of times. The zero
// value is ready.
type complaint struct {
	mu sync.Mutex
	// Guarded by mu.
	spent   int
	last    time.Time
	dropped int
}

func (c *complaint) log(logger *slog.Logger, text string, args ...any) {
	c.mu.Lock()
	now := time.Now()
	c.spent = max(0, c.spent-int(now.Sub(c.last)/complaintInterval))
	if c.spent >= complaintsAtOnce {
		c.dropped++
		c.mu.Unlock()
		return
	}
	dropped := c.dropped
	c.spent, c.last, c.dropped = c.spent+1, now, 0
	c.mu.Unlock()
	if dropped > 0 {
		args = append(args, "not_logged_before", dropped)
	}
	logger.Warn(text, args...)
}
