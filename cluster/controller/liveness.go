package controller

import (
	"fmt"
	"math"
	"time"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// Liveness is what the controller remembers of the brokers' heartbeats, and forgets
// when it is elected anew: when each was last heard of, and how far it has read the
// metadata log. It decides nothing and has no clock; times and offsets are handed
// in. It is not for concurrent use.
//
// A broker is overdue when it was silent for the session time-out, when its
// connection broke and it was not reached or heard of within the grace that a
// suspicion gives, or when its process is known to be gone. One that comes back after
// it was taken for gone has proved that its connections tell nothing of it: from then
// on only its silence counts, else it would be fenced again and again.
type Liveness struct {
	session, grace time.Duration
	took           int64 // the offset at which this controller began
	brokers        map[int32]*contact
}

// contact is the last that was heard of a broker.
type contact struct {
	epoch      int64
	last       time.Time
	suspected  time.Time // when its connection broke, zero where it did not
	gone       bool      // its process ended
	condemned  bool      // it was overdue without having been silent for the session
	misjudged  bool      // it was condemned, and came back all the same
	offset     int64     // how far it has read
	registered int64     // the offset of its registration
	moved      int64     // the offset at which it led nothing any more
}

// NewLiveness begins with the brokers that the image has, as a new controller does:
// each was heard of now, and has to read up to offset before it changes its state.
func NewLiveness(session, grace time.Duration, img *metadata.Image, offset int64, now time.Time) *Liveness {
	l := &Liveness{session: session, grace: grace, took: offset, brokers: map[int32]*contact{}}
	for b := range img.Brokers() {
		l.brokers[b.ID] = &contact{epoch: b.Epoch, last: now, offset: -1, registered: offset, moved: offset}
	}
	return l
}

// Registered notes a registration that was decided at offset.
func (l *Liveness) Registered(id int32, epoch, offset int64, now time.Time) {
	l.brokers[id] = &contact{epoch: epoch, last: now, offset: -1, registered: offset, moved: offset}
}

// Heard notes a heartbeat that was not refused, with how far the broker has read.
func (l *Liveness) Heard(id int32, epoch, offset int64, now time.Time) {
	c, found := l.brokers[id]
	if !found || c.epoch != epoch {
		c = &contact{epoch: epoch, registered: l.took, moved: l.took}
		l.brokers[id] = c
	}
	c.misjudged = c.misjudged || c.condemned
	c.last, c.suspected, c.gone, c.condemned, c.offset = now, time.Time{}, false, false, offset
}

// Expect gives a broker that this controller has not heard of yet only so long to be
// heard of. A broker that votes learns of a new controller as soon as it is elected.
func (l *Liveness) Expect(id int32, within time.Duration, now time.Time) {
	if c, found := l.brokers[id]; found {
		c.last = now.Add(within - l.session)
	}
}

// Moved notes that a decision at offset left the broker with nothing to lead.
func (l *Liveness) Moved(id int32, offset int64) {
	if c, found := l.brokers[id]; found {
		c.moved = offset
	}
}

// Suspect notes that a broker's connection broke: it has the grace to be reached or
// heard of again. Until it is, a second break does not give it more.
func (l *Liveness) Suspect(id int32, now time.Time) {
	if c, found := l.brokers[id]; found && c.suspected.IsZero() && !c.misjudged {
		c.suspected = now
	}
}

// Gone notes that a broker's process has ended: it is overdue at once.
func (l *Liveness) Gone(id int32, now time.Time) {
	l.Suspect(id, now)
	if c, found := l.brokers[id]; found && !c.misjudged {
		c.gone = true
	}
}

// Reached notes that a connection to the broker was established: it is suspected no
// more.
func (l *Liveness) Reached(id int32) {
	if c, found := l.brokers[id]; found {
		c.suspected, c.gone = time.Time{}, false
	}
}

// Alive reports whether a broker was heard of lately enough, and its connection is
// not broken. What was never heard of is not alive.
func (l *Liveness) Alive(img *metadata.Image, id int32, now time.Time) bool {
	b, registered := img.Broker(id)
	c, found := l.brokers[id]
	return registered && found && !b.Fenced && c.suspected.IsZero() && now.Before(l.deadline(c))
}

func (l *Liveness) deadline(c *contact) time.Time {
	end := c.last.Add(l.session)
	switch soon := c.suspected.Add(l.grace); {
	case c.suspected.IsZero():
		return end
	case c.gone && c.suspected.Before(end):
		return c.suspected
	case soon.Before(end):
		return soon
	}
	return end
}

// Why says in words why a broker is overdue.
func (l *Liveness) Why(id int32) string {
	c, found := l.brokers[id]
	switch {
	case found && !c.condemned && c.offset < 0:
		return "it was not heard of since it was registered, or since this controller was elected"
	case !found || !c.condemned:
		return fmt.Sprintf("it was silent for too long (broker.session.timeout.ms=%d)", l.session.Milliseconds())
	case c.gone:
		return "nobody listens at its address: its process has ended"
	}
	return "the connection to it broke, and it was not heard of since"
}

// Overdue returns the unfenced brokers that are to be fenced at now, by id, and when
// to look again; the zero time where no broker is unfenced.
func (l *Liveness) Overdue(img *metadata.Image, now time.Time) (ids []int32, next time.Time) {
	for b := range img.Brokers() {
		if b.Fenced {
			continue
		}
		c, found := l.brokers[b.ID]
		if !found { // registered while another controller decided
			c = &contact{epoch: b.Epoch, last: now, offset: -1, registered: l.took, moved: l.took}
			l.brokers[b.ID] = c
		}
		switch end := l.deadline(c); {
		case !now.Before(end):
			c.condemned = now.Before(c.last.Add(l.session))
			ids = append(ids, b.ID)
		case next.IsZero() || end.Before(next):
			next = end
		}
	}
	return ids, next
}

// Progress is what a heartbeat of the broker is judged by.
func (l *Liveness) Progress(img *metadata.Image, id int32) Progress {
	p := Progress{Registered: l.took, Moved: l.took, Lowest: math.MaxInt64}
	if c, found := l.brokers[id]; found {
		p.Registered, p.Moved = c.registered, c.moved
	}
	for b := range img.Brokers() {
		if !b.Active() {
			continue
		}
		offset := int64(-1)
		if c, found := l.brokers[b.ID]; found {
			offset = c.offset
		}
		p.Lowest = min(p.Lowest, offset)
	}
	return p
}
