package metadata

import (
	"fmt"
	"iter"
	"slices"
)

// Broker is one member of the cluster.
type Broker struct {
	ID          int32
	Epoch       int64    // grows with each registration in the cluster
	Incarnation [16]byte // a random UUID for each start of the process
	Endpoints   []Endpoint
	Rack        string // empty: none
	Features    []FeatureRange
	BrokerState
}

// BrokerState is what changes of a broker between two of its registrations.
type BrokerState struct {
	// Fenced brokers lead nothing and are in no ISR: they are new, were not heard
	// of for too long, or have shut down.
	Fenced bool
	// InControlledShutdown is set from when a broker asks to be shut down until it
	// is fenced: its partitions get other leaders.
	InControlledShutdown bool
	// Cordoned brokers keep what they have and get no new replicas.
	Cordoned       bool
	LogDirs        [][16]byte // the UUIDs of those that work
	OfflineLogDirs [][16]byte // and of those that have failed since the registration
}

// FeatureRange is between which levels a broker supports a feature (KIP-584).
type FeatureRange struct {
	Name     string
	Min, Max int16
}

// Active reports whether the broker may lead partitions and be in their ISR.
func (b *Broker) Active() bool { return !b.Fenced && !b.InControlledShutdown }

func (b *Broker) equal(c *Broker) bool {
	return b.Epoch == c.Epoch && b.Incarnation == c.Incarnation && b.Rack == c.Rack &&
		slices.Equal(b.Endpoints, c.Endpoints) && slices.Equal(b.Features, c.Features) && b.BrokerState.Equal(&c.BrokerState)
}

// Equal reports whether s and o say the same.
func (s *BrokerState) Equal(o *BrokerState) bool {
	return s.Fenced == o.Fenced && s.InControlledShutdown == o.InControlledShutdown && s.Cordoned == o.Cordoned &&
		slices.Equal(s.LogDirs, o.LogDirs) && slices.Equal(s.OfflineLogDirs, o.OfflineLogDirs)
}

// Active reports whether the broker is registered and may lead partitions.
func (i *Image) Active(id int32) bool {
	b, found := i.Broker(id)
	return found && b.Active()
}

// Live yields the brokers that are not fenced, sorted
// by id.
func (i *Image) Live() iter.Seq[*Broker] {
	return func(yield func(*Broker) bool) {
		for b := range i.Brokers() {
			if !b.Fenced && !yield(b) {
				return
			}
		}
	}
}

// OfflineReplicas returns the partition's replicas that cannot be reached: their
// broker is fenced or not registered, or their log dir failed. The result is not
// nil.
func (i *Image) OfflineReplicas(p *Partition) []int32 {
	offline := []int32{}
	for _, id := range p.Replicas {
		b, found := i.Broker(id)
		if !found || b.Fenced || slices.Contains(p.Offline(), id) {
			offline = append(offline, id)
		}
	}
	return offline
}

// LastBrokerEpoch returns the highest broker epoch that was ever given, 0 for
// none.
func (i *Image) LastBrokerEpoch() int64 { return i.lastBrokerEpoch }

func (r *BrokerRegistered) apply(c *change) error {
	c.putBroker(&r.Broker)
	c.lastBrokerEpoch = max(c.lastBrokerEpoch, r.Broker.Epoch)
	return nil
}

func (c *change) putBroker(b *Broker) {
	c.brokers = c.brokers.put(b.ID, b)
	c.brokersTouched = append(c.brokersTouched, b.ID)
}

func (r *BrokerChanged) apply(c *change) error {
	b, err := c.findBroker(r.ID, r.Epoch)
	if err != nil {
		return err
	}
	changed := *b
	changed.BrokerState = r.State
	c.putBroker(&changed)
	return nil
}

func (r *BrokerUnregistered) apply(c *change) error {
	if _, err := c.findBroker(r.ID, r.Epoch); err != nil {
		return err
	}
	c.brokers = c.brokers.delete(r.ID)
	c.brokersTouched = append(c.brokersTouched, r.ID)
	return nil
}

func (c *change) findBroker(id int32, epoch int64) (*Broker, error) {
	b, found := c.Broker(id)
	switch {
	case !found:
		return nil, fmt.Errorf("broker %d is not registered", id)
	case b.Epoch != epoch:
		return nil, fmt.Errorf("broker %d has the epoch %d, not %d", id, b.Epoch, epoch)
	}
	return b, nil
}

func (r *BrokerEpochsGiven) apply(c *change) error {
	c.lastBrokerEpoch = max(c.lastBrokerEpoch, r.Last)
	return nil
}
