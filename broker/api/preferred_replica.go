package api

import (
	"cmp"
	"slices"

	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/metadata"
)

// preferredReplica is the replica that a consumer in a rack should read from, rather
// than from this leader (KIP-392); false for the leader itself. It is in sync and has
// what the consumer asks for: of several in the rack the one that has most.
func preferredReplica(img *metadata.Image, p *replica.Partition, leader int32, rack string, offset int64) (id int32, better bool) {
	inRack := func(id int32) bool {
		b, found := img.Broker(id)
		return found && b.Active() && b.Rack == rack
	}
	if rack == "" || inRack(leader) {
		return -1, false
	}
	near := slices.DeleteFunc(p.InSyncFollowers(), func(f replica.FollowerState) bool {
		return !inRack(f.ID) || f.End < offset || f.LogStart > offset
	})
	if len(near) == 0 {
		return -1, false
	}
	return slices.MaxFunc(near, func(a, b replica.FollowerState) int {
		return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(b.ID, a.ID))
	}).ID, true
}
