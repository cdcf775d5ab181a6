package txn

import (
	"time"

	"github.com/klamm-io/klamm/coordinator/step"
)

// Tick lets time pass: it answers who waited too long, tries failed markers again,
// and every abort interval aborts the transactions that are open for longer than
// their producers allowed themselves.
func (c *Coordinator) Tick(now time.Time) step.Output {
	var out output
	c.expireParked(&out, now)
	c.retryFailed(&out, now)
	if now.Before(c.nextScan) {
		return out.Output
	}
	c.nextScan = now.Add(c.config.AbortInterval)
	for _, t := range c.sorted() {
		if t.timedOut(now) {
			c.logger.Info("a transaction is aborted: its time is over", "transactional_id", t.id, "producer_id", t.producer.ID, "timeout_ms", t.timeoutMs)
			c.fence(&out, t, nil, now)
		}
	}
	return out.Output
}

func (t *txn) timedOut(now time.Time) bool {
	return t.state == Ongoing && t.startMs+int64(t.timeoutMs) < now.UnixMilli()
}

// Expire forgets transactional ids that nobody used for the expiration time and
// that have no transaction open.
func (c *Coordinator) Expire(now time.Time) step.Output {
	var out output
	for _, t := range c.sorted() {
		id := t.id
		if t.state == Ongoing || t.state.prepared() || t.updatedMs+c.config.Expiration.Milliseconds() > now.UnixMilli() {
			continue
		}
		out.Writes = append(out.Writes, step.Write{
			Records: []step.Record{{Key: key(id)}},
			Done: func(err error) []step.Reply {
				if err == nil {
					delete(c.txns, id)
				}
				return nil
			},
		})
	}
	return out.Output
}
