package controller

import (
	"math"
	"time"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// Liveness is what the controller remembers of the brokers' heartbeats, and forgets
// when it is elected anew: when each was last heard of, and how far it has read the
// metadata log. It decides nothing and has no clock; times and offsets are handed
// in. It is not for concurrent use.
//
// A broker is overdue when it was silent for the session time-out, or when its
// connection broke and it did not come back within the grace that a suspicion gives.
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
	c.last, c.suspected, c.offset = now, time.Time{}, offset
}

// Moved notes that a decision at offset left the broker with nothing to lead.
func (l *Liveness) Moved(id int32, offset int64) {
	if c, found := l.brokers[id]; found {
		c.moved = offset
	}
}

// Suspect notes that a broker's connection broke: it has the grace to be heard of
// again. Until it is, a second break does not give it more.
func (l *Liveness) Suspect(id int32, now time.Time) {
	if c, found := l.brokers[id]; found && c.suspected.IsZero() {
		c.suspected = now
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
	if soon := c.suspected.Add(l.grace); !c.suspected.IsZero() && soon.Before(end) {
		return soon
	}
	return end
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
