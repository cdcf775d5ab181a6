package controller

import (
	"slices"
	"strconv"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// RegisterAlone lets in the one broker of a cluster of one node, which is also its
// controller: it has nobody to wait for, so it is not fenced, keeps what it leads,
// and leads what nobody does. The broker's epoch is decided here. The same
// incarnation that asks again, unchanged, is answered with no records. A new cluster
// begins with the feature levels of this release, and its first passwords.
func (c *Controller) RegisterAlone(img *metadata.Image, b metadata.Broker, in Inputs) []metadata.Record {
	known, found := img.Broker(b.ID)
	if found && sameBroker(known, &b) {
		return nil
	}
	b.Epoch, b.Cordoned = img.LastBrokerEpoch()+1, in.Config.CordonsAll(img.BrokerConfig(b.ID))
	records, _ := newSweep(img, in).whole().with(b.ID, true).run(leaderless, func(*draft) {})
	records = slices.Insert(records, 0, metadata.Record(&metadata.BrokerRegistered{Broker: b}))
	return append(c.Begin(img), records...)
}

// cordonAlone has the one broker of a cluster of one node cordoned, or not any more,
// with the change of its configs: it sends no heartbeats that would say so.
func cordonAlone(img *metadata.Image, in Inputs, changed map[metadata.Resource]map[string]string) []metadata.Record {
	after, is := changed[metadata.BrokerResource(strconv.Itoa(int(in.Config.NodeID)))]
	b, found := img.Broker(in.Config.NodeID)
	if in.Config.Roles.Set || !is || !found || b.Cordoned == in.Config.CordonsAll(after) {
		return nil
	}
	state := b.BrokerState
	state.Cordoned = !state.Cordoned
	return []metadata.Record{changeBroker(b, state)}
}

func sameBroker(a, b *metadata.Broker) bool {
	return a.Incarnation == b.Incarnation && a.Rack == b.Rack && slices.Equal(a.Endpoints, b.Endpoints)
}
