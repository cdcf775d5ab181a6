package controller

import (
	"slices"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// RegisterAlone lets in the one broker of a cluster of one node, which is also its
// controller: it has nobody to wait for, so it is not fenced, keeps what it leads,
// and leads what nobody does. The broker's epoch is decided here. The same
// incarnation that asks again, unchanged, is answered with no records. A new cluster
// begins with the feature levels of this release.
func (*Controller) RegisterAlone(img *metadata.Image, b metadata.Broker, in Inputs) []metadata.Record {
	known, found := img.Broker(b.ID)
	if found && sameBroker(known, &b) {
		return nil
	}
	b.Epoch = img.LastBrokerEpoch() + 1
	records, _ := newSweep(img, in).whole().with(b.ID, true).run(leaderless, func(*draft) {})
	records = slices.Insert(records, 0, metadata.Record(&metadata.BrokerRegistered{Broker: b}))
	return append((&Controller{}).BeginFeatures(img), records...)
}

func sameBroker(a, b *metadata.Broker) bool {
	return a.Incarnation == b.Incarnation && a.Rack == b.Rack && slices.Equal(a.Endpoints, b.Endpoints)
}
