package api

import (
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/broker/quota"
)

// meter is the [listener.Meter] of one request of a client. Requests have one only while
// there are quotas.
type meter struct {
	quotas         *quota.Clients
	user, clientID string
	untimed        bool         // its time does not count
	wait           atomic.Int64 // what the client is to wait for other reasons than its time, nanoseconds
}

// meter makes r be measured, if anything is.
func (h *Handler) meter(r *listener.Request) {
	if !h.quotas.Bound() || h.ofNode(r) {
		return
	}
	m := &meter{quotas: h.quotas, user: r.Conn.Principal.Name}
	if r.ClientID != nil {
		m.clientID = *r.ClientID
	}
	r.Meter = m
}

// meterOf is what measures r, nil for nothing.
func meterOf(r *listener.Request) *meter {
	m, _ := r.Meter.(*meter)
	return m
}

// Throttle adds the time that was worked on the request to what its client used, and
// returns the longest wait that any of its quotas asks for.
func (m *meter) Throttle(busy time.Duration) time.Duration {
	wait := time.Duration(m.wait.Load())
	if m.untimed {
		return wait
	}
	const percent = 100
	return max(wait, m.quotas.Use(quota.Request, m.user, m.clientID, percent*busy.Seconds(), time.Now()))
}

// atLeast has the client wait for so long, or longer.
func (m *meter) atLeast(wait time.Duration) { m.wait.Store(max(m.wait.Load(), int64(wait))) }

// produced counts a Produce request. Without an answer its client is not told to wait;
// it is not read all the same, and its time does not count, as in Kafka.
func (m *meter) produced(r *listener.Request, acks int16) {
	if m == nil {
		return
	}
	wait := m.quotas.Use(quota.Produce, m.user, m.clientID, float64(r.Size), r.Received)
	m.atLeast(wait)
	m.untimed = acks == 0
	r.Mute(wait)
}

// mostFetched bounds what one fetch may answer with.
func (m *meter) mostFetched(most int) int {
	if m == nil {
		return most
	}
	if quota, bounded := m.quotas.Most(quota.Fetch, m.user, m.clientID); bounded && quota < float64(most) {
		return int(quota)
	}
	return most
}

// fetched counts what a fetch is about to be answered with, and returns how long the
// client is to wait. If it is, it gets nothing now, and what it would have got does not
// count.
func (m *meter) fetched(r *listener.Request, bytes int) time.Duration {
	if m == nil {
		return 0
	}
	now := time.Now()
	m.atLeast(m.quotas.Use(quota.Fetch, m.user, m.clientID, float64(bytes), now))
	wait := r.Throttle()
	if wait > 0 {
		m.quotas.GiveBack(quota.Fetch, m.user, m.clientID, float64(bytes), now)
	}
	return wait
}

// mutations are the partitions that one request creates or deletes, by topic. The nil
// value counts nothing.
type mutations struct {
	meter  *meter
	strict bool // who has to wait is refused
	of     map[string]int
}

// mutations counts what a request changes. Clients from the version strictSince on know
// how to be refused (KIP-599). Who only asks whether it could be pays nothing.
func (h *Handler) mutations(r *listener.Request, strictSince int16, validateOnly bool) *mutations {
	m := meterOf(r)
	if m == nil || validateOnly || !h.quotas.Bounds(quota.ControllerMutation) {
		return nil
	}
	return &mutations{meter: m, strict: r.Version >= strictSince, of: map[string]int{}}
}

// take counts so many partitions of a topic, or says that they have to wait.
func (c *mutations) take(topic string, partitions int) error {
	if c == nil || partitions <= 0 {
		return nil
	}
	wait, refused := c.meter.quotas.Mutate(c.meter.user, c.meter.clientID, partitions, c.strict, time.Now())
	c.meter.atLeast(wait)
	if refused {
		return kerr.ThrottlingQuotaExceeded
	}
	c.of[topic] += partitions
	return nil
}

// failed gives back what did not come about.
func (c *mutations) failed(topic string) {
	if c == nil || c.of[topic] == 0 {
		return
	}
	c.meter.quotas.Unmutate(c.meter.user, c.meter.clientID, c.of[topic], time.Now())
	delete(c.of, topic)
}
