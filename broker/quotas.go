package broker

import (
	"math"
	"time"

	"github.com/klamm-io/klamm/broker/metrics"
	"github.com/klamm-io/klamm/broker/quota"
	"github.com/klamm-io/klamm/cluster/metadata"
)

// followQuotas has clients bounded by the quotas that are known, and by every change of
// them before it is answered. The view must not run yet.
func (b *Broker) followQuotas() {
	img := b.view.Observe(func(img *metadata.Image, d *metadata.Delta) {
		if len(d.QuotasChanged) > 0 {
			b.quotas.SetLimits(quota.NewLimits(img))
		}
	})
	b.quotas.SetLimits(quota.NewLimits(img))
}

// pace is the [listener.Pace] of the listeners that clients come to.
type pace struct {
	quotas *quota.Clients
	all    *quota.Pace // nil: they may connect as often as they like
}

func (b *Broker) newPace() pace {
	p := pace{quotas: b.quotas}
	if rate := b.config.ConnectionRate; rate < math.MaxInt32 {
		p.all = quota.NewPace(quota.Windows{Num: b.config.QuotaWindows, Size: b.config.QuotaWindow}, float64(rate))
	}
	return p
}

// Wait holds max.connection.creation.rate.
func (p pace) Wait(string) time.Duration {
	if p.all == nil {
		return 0
	}
	return p.all.Take(time.Now())
}

// CloseAfter holds the quotas of addresses.
func (p pace) CloseAfter(host string) time.Duration {
	if !p.quotas.Bounds(quota.ConnectionRate) {
		return 0
	}
	return p.quotas.Connect(host, time.Now())
}

// Quotas is what clients use that quotas count for.
func (s *state) Quotas() []metrics.Quota {
	if !s.broker.quotas.Bound() {
		return nil
	}
	var all []metrics.Quota
	for _, u := range s.broker.quotas.States(time.Now()) {
		all = append(all, metrics.Quota{Resource: u.Kind.String(), User: u.Who.User, ClientID: u.Who.ClientID, PerSecond: u.PerSecond, Throttle: u.Throttle})
	}
	return all
}
