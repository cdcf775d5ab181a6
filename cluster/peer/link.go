package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/klamm-io/klamm/security/sasl"
	"github.com/klamm-io/klamm/security/transport"
)

// What is posted and not sent yet is bounded, by number and bytes.
const (
	maxPosted      = 1024
	maxPostedBytes = 32 << 20
)

// Reasons of this node to end a connection, of which nobody needs to hear.
var (
	errMoved  = errors.New("the node has another address")
	errUnused = errors.New("the connection is of no more use")
)

// link is this node's end of a lane to a node, connected or not.
type link struct {
	peers *Peers
	place
	kick chan struct{} // has room for one word that something was changed for the goroutine

	// The goroutine's own.
	complained string    // of a Hello that was refused
	missed     time.Time // since when the node cannot be reached, zero: it can
	toldMissed bool

	mu sync.Mutex
	// Guarded by mu.
	addr    string
	watched bool
	ended   bool
	queue   []*call // to be sent
	posted  int     // of queue, those that nobody waits for
	bytes   int     // of those
	redial  redial
	session *session // the connection, or the attempt to have one
}

func newLink(p *Peers, at place) *link {
	return &link{peers: p, place: at, kick: make(chan struct{}, 1)}
}

// changed wakes the goroutine.
func (l *link) changed() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// setAddr says where the node is now.
func (l *link) setAddr(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addr == addr {
		return
	}
	l.addr, l.redial = addr, redial{}
	if l.session != nil {
		l.session.cancel(errMoved)
	}
	l.changed()
}

func (l *link) watch(watched bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watched == watched {
		return
	}
	l.watched = watched
	if !watched {
		l.redial.lost = false
		if s := l.session; s != nil && len(l.queue) == 0 && len(s.unanswered) == 0 {
			s.cancel(errUnused)
		}
	}
	l.changed()
}

// mayPost reports whether there is room for one more that nobody waits for.
func (l *link) mayPost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.posted < maxPosted && l.bytes < maxPostedBytes
}

// add queues a call, unless Run has ended.
func (l *link) add(c *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.queue = append(l.queue, c)
	if c.done == nil {
		l.posted++
		l.bytes += len(c.frame)
	}
	l.changed()
	return true
}

// forget is told that nobody waits for a call's answer any more. It reports whether
// the call was not sent, and now never is.
func (l *link) forget(c *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.queue, c)
	if at < 0 {
		return false
	}
	l.queue = slices.Delete(l.queue, at, at+1)
	return true
}

// takeQueue empties the queue. The caller holds mu.
func (l *link) takeQueue() []*call {
	calls := l.queue
	l.queue, l.posted, l.bytes = nil, 0, 0
	return calls
}

// run connects whenever there is a reason to, and talks while that lasts.
func (l *link) run(ctx context.Context) {
	defer l.end()
	for l.awaitReason(ctx) {
		s := l.begin(ctx)
		err := s.establish()
		switch {
		case err != nil && !l.deliberate(ctx, s):
			l.failed(s, err)
		case err == nil:
			l.established(s)
			l.broke(ctx, s, s.converse())
		}
		l.finish(s)
	}
}

// awaitReason waits until it is time to connect, and reports false when ctx ends.
func (l *link) awaitReason(ctx context.Context) bool {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		var due <-chan time.Time
		if at, wanted := l.dialAt(); wanted {
			wait := time.Until(at)
			if wait <= 0 {
				return true
			}
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-l.kick:
		case <-due:
		case <-ctx.Done():
		}
	}
	return false
}

// dialAt is when to connect next, if there is a reason to.
func (l *link) dialAt() (at time.Time, wanted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.redial.at(len(l.queue) > l.posted, l.posted > 0, l.watched)
}

// begin makes the session that an address or a use that is gone ends.
func (l *link) begin(ctx context.Context) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = newSession(ctx, l, l.addr)
	return l.session
}

// finish lets go of a session that has ended or came to nothing.
func (l *link) finish(s *session) {
	s.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = nil
}

// deliberate reports whether this node itself has ended what s was to be.
func (l *link) deliberate(ctx context.Context, s *session) bool {
	cause := context.Cause(s.ctx)
	return ctx.Err() != nil || errors.Is(cause, errMoved) || errors.Is(cause, errUnused)
}

// failed takes note of an attempt that came to nothing. All that waits for the
// connection fails with it: who asks again decides so himself.
func (l *link) failed(s *session, err error) {
	refused := errors.Is(err, syscall.ECONNREFUSED)
	l.complain(s, err)
	l.mu.Lock()
	l.redial.failed(time.Now(), refused)
	calls := l.takeQueue()
	l.mu.Unlock()
	l.tellBroken(refused)
	for _, c := range calls {
		c.finish(answer{err: notSent(err)})
	}
}

// complain tells once of each sentence with which a node refuses this one, or does
// not prove to be who it should be.
func (l *link) complain(s *session, err error) {
	var refusal *refusalError
	if insecure(err) && l.complained != err.Error() {
		l.complained = err.Error()
		l.peers.deps.Logger.Warn("no secure connection to a node", "node", l.node, "lane", l.lane, "addr", s.addr, "err", err)
		return
	}
	if !errors.As(err, &refusal) || l.complained == refusal.sentence {
		l.peers.deps.Logger.Debug("cannot connect to a node", "node", l.node, "lane", l.lane, "addr", s.addr, "err", err)
		l.miss(s, err, time.Now())
		return
	}
	l.complained = refusal.sentence
	l.peers.deps.Logger.Warn("a node does not take this one for a node of its cluster", "node", l.node, "lane", l.lane, "addr", s.addr, "err", err)
}

// missedAfter is for how long a voter may not be reached before that is told: longer
// than a restart takes.
const missedAfter = 10 * time.Second

// miss tells once of a voter of the quorum that cannot be reached: without a majority
// of them nothing goes on, and who looks into a log finds here which one, and why.
func (l *link) miss(s *session, err error, now time.Time) {
	if l.missed.IsZero() {
		l.missed = now
	}
	if l.lane != LaneQuorum || l.toldMissed || now.Sub(l.missed) < missedAfter {
		return
	}
	l.toldMissed = true
	l.peers.deps.Logger.Warn("a voter of the quorum cannot be reached; start it, or correct its address (controller.quorum.voters, or klamm quorum remove and add)",
		"node", l.node, "addr", s.addr, "err", err)
}

// insecure reports whether TLS or SASL is why a connection failed. That a node does not take
// this one's certificate, it says when this one believes that all is well.
func insecure(err error) bool {
	var network *net.OpError
	unproved := errors.Is(err, transport.ErrHandshake) || errors.Is(err, sasl.ErrLogin)
	return unproved && !errors.Is(err, context.Canceled) || errors.As(err, &network) && network.Op == "remote error"
}

func (l *link) established(s *session) {
	if l.toldMissed {
		l.peers.deps.Logger.Info("a voter of the quorum is reached again", "node", l.node, "addr", s.addr)
	}
	l.complained, l.missed, l.toldMissed = "", time.Time{}, false
	l.peers.deps.Logger.Debug("connected to a node", "node", l.node, "lane", l.lane, "addr", s.addr)
	if l.peers.deps.Reached != nil {
		l.peers.deps.Reached(l.node, l.lane)
	}
}

// broke takes note of a connection's end. What was sent and not answered fails; what
// was not sent yet may find another connection.
func (l *link) broke(ctx context.Context, s *session, why error) {
	deliberate := l.deliberate(ctx, s)
	if ctx.Err() != nil {
		why = ErrStopped
	}
	l.mu.Lock()
	calls := s.unanswered
	s.unanswered = nil
	if !deliberate {
		l.redial.broken(s.since, time.Now())
	}
	l.mu.Unlock()
	if !deliberate {
		l.peers.deps.Logger.Debug("lost the connection to a node", "node", l.node, "lane", l.lane, "addr", s.addr, "err", why)
		l.tellBroken(false)
	}
	for _, c := range calls {
		c.finish(answer{err: fmt.Errorf("the connection ended before the answer came: %w", why)})
	}
}

func (l *link) tellBroken(refused bool) {
	if l.peers.deps.Broken != nil {
		l.peers.deps.Broken(l.node, l.lane, refused)
	}
}

// end fails what is left to be sent.
func (l *link) end() {
	l.mu.Lock()
	l.ended = true
	calls := l.takeQueue()
	l.mu.Unlock()
	for _, c := range calls {
		c.finish(answer{err: notSent(ErrStopped)})
	}
}

// toSend moves what is queued to what is sent, and returns its frames and when to
// look again at the latest.
func (l *link) toSend(s *session, now time.Time) (frames net.Buffers, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.takeQueue()
	if len(calls) == 0 && s.idle(now) {
		calls = append(calls, s.helloCall())
	}
	for _, c := range calls {
		s.nextID++
		c.number(s.nextID)
		c.sent = now
		frames = append(frames, c.frame)
		if c.answered {
			s.unanswered = append(s.unanswered, c)
		}
	}
	return frames, s.deadline()
}

// overdue reports whether the other end has owed an answer for too long.
func (l *link) overdue(s *session, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(s.unanswered) > 0 && !now.Before(s.deadline())
}

// memoryFor returns the memory of the call that an answer must be for: the oldest
// that waits.
func (l *link) memoryFor(s *session, id int32) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(s.unanswered) == 0 {
		return nil, fmt.Errorf("an answer, number %d, to no request", id)
	}
	if c := s.unanswered[0]; c.id != id {
		return nil, fmt.Errorf("an answer to request %d, that to %d is next", id, c.id)
	}
	s.heard = time.Now()
	return s.unanswered[0].memory, nil
}

// answered takes the call off whose answer has been read. Nobody else takes any off
// while there are answers to read.
func (l *link) answered(s *session) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := s.unanswered[0]
	s.unanswered[0] = nil
	s.unanswered = s.unanswered[1:]
	s.heard = time.Now()
	return c
}

// heard takes note that the other end is sending an answer.
func (l *link) heard(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.heard = time.Now()
}
