package controller

import (
	"slices"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// RegisterBroker lets a broker in, or learns its new addresses. The broker's
// epoch is decided here: one above its last. The same incarnation that asks
// again, unchanged, is answered with no records.
func (*Controller) RegisterBroker(img *metadata.Image, b metadata.Broker) []metadata.Record {
	b.Epoch = 1
	if known, found := img.Broker(b.ID); found {
		if sameBroker(known, &b) {
			return nil
		}
		b.Epoch = known.Epoch + 1
	}
	return []metadata.Record{&metadata.BrokerRegistered{Broker: b}}
}

func sameBroker(a, b *metadata.Broker) bool {
	return a.Incarnation == b.Incarnation && a.Rack == b.Rack && slices.Equal(a.Endpoints, b.Endpoints)
}
