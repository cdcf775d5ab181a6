package replica

import (
	"sync/atomic"
	"time"
)

// gathering lets an answer to a follower wait a moment for more, where more is likely
// to come. Producers that were answered together mostly append again one soon after the
// other; if the first of them went to the followers alone, the others would wait for a
// round of their own: one more answer, append and flush at each follower. So an
// answer waits until as many appends are there as the one before carried, and no longer
// than gatherMost. A producer that waits for each answer before it appends again is
// never held up by that, nor is a follower that has much to catch up with.
type gathering struct {
	appended atomic.Int64 // so many times, to the partitions that the session wants
	enough   atomic.Int64 // what appended is to reach before the request is woken

	// The request's.
	seen     int64 // appended at the last look
	answered int64 // of which the answers have told
	carried  int64 // by the last answer that had records
	much     bool  // it had, and there may be more
	since    time.Time
}

const (
	gatherMost = 2 * time.Millisecond
	// muchAtOnce bytes of records in one answer are no sign of what is to come: maybe
	// the follower catches up.
	muchAtOnce = 512 << 10
)

// Gather returns how long the answer should wait for more, 0 for no longer. Meanwhile
// [Session.Woken] need not deliver.
func (s *Session) Gather(now time.Time) time.Duration {
	g := &s.gathering
	g.enough.Store(g.answered + g.carried)
	came := g.appended.Load() - g.answered
	if came == 0 || came >= g.carried || g.much {
		g.enough.Store(0)
		return 0
	}
	if g.since.IsZero() {
		g.since = now
	}
	left := gatherMost - now.Sub(g.since)
	if left <= 0 {
		g.enough.Store(0)
	}
	return max(0, left)
}

// looked notes that a look begins, which sees all that was appended so far.
func (g *gathering) looked() { g.seen = g.appended.Load() }

// told notes the answer to the last look.
func (g *gathering) told(bytes int) {
	g.since = time.Time{}
	g.enough.Store(0)
	if bytes > 0 {
		g.carried, g.answered, g.much = g.seen-g.answered, g.seen, bytes >= muchAtOnce
	}
}
