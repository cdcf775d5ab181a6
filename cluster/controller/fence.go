package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// FenceBroker takes a broker that is not heard of out of every ISR, gives its
// partitions other leaders, and fences it. more says that partitions are left which
// did not fit into one decision; the broker is fenced by the last. A broker that is
// fenced or not registered is left as it is.
func (*Controller) FenceBroker(img *metadata.Image, id int32, in Inputs) (records []metadata.Record, more bool) {
	b, found := img.Broker(id)
	if !found || b.Fenced {
		return nil, false
	}
	return fence(img, b, in)
}

func fence(img *metadata.Image, b *metadata.Broker, in Inputs) (records []metadata.Record, more bool) {
	if records, more = leaveISRs(img, b.ID, in); more {
		return records, true
	}
	state := b.BrokerState
	state.Fenced, state.InControlledShutdown = true, false
	return append(records, changeBroker(b, state)), false
}

// leaveISRs takes a broker out of every ISR.
func leaveISRs(img *metadata.Image, id int32, in Inputs) (records []metadata.Record, more bool) {
	out := []int32{id}
	return newSweep(img, in).with(id, false).run(inISR(id), func(d *draft) { d.isr = without(d.isr, out) })
}

func changeBroker(b *metadata.Broker, state metadata.BrokerState) metadata.Record {
	return &metadata.BrokerChanged{ID: b.ID, Epoch: b.Epoch, State: state}
}

// unfence lets a broker take part, and lead where nobody else can.
func unfence(img *metadata.Image, b *metadata.Broker, in Inputs) (records []metadata.Record, more bool) {
	state := b.BrokerState
	state.Fenced, state.InControlledShutdown = false, false
	records, more = newSweep(img, in).with(b.ID, true).run(leaderless, func(*draft) {})
	return slices.Insert(records, 0, changeBroker(b, state)), more
}

// UnregisterBroker takes a broker out of the cluster, whether or not it is up. Its
// replicas stay assigned to it until they are moved, and count for nothing. When a
// cluster has too many partitions for one decision the answer is
// REQUEST_TIMED_OUT, and the request is to be sent again.
func (*Controller) UnregisterBroker(img *metadata.Image, req *kmsg.UnregisterBrokerRequest, in Inputs) ([]metadata.Record, *kmsg.UnregisterBrokerResponse) {
	resp := req.ResponseKind().(*kmsg.UnregisterBrokerResponse)
	b, found := img.Broker(req.BrokerID)
	if !found {
		resp.ErrorCode, resp.ErrorMessage = answer(refuse(kerr.BrokerIDNotRegistered, "Broker ID %d is not currently registered", req.BrokerID))
		return nil, resp
	}
	records, more := forget(img, b.ID, in, func(d *draft) { d.emptied = []int32{b.ID} })
	if more {
		resp.ErrorCode, resp.ErrorMessage = answer(errMore)
		return records, resp
	}
	return append(records, &metadata.BrokerUnregistered{ID: b.ID, Epoch: b.Epoch}), resp
}

var errMore = refuse(kerr.RequestTimedOut, "There are more partitions than one decision can change; ask again.")

// forget takes a broker out of every ISR, and changes what else the partitions say
// of it.
func forget(img *metadata.Image, id int32, in Inputs, standing func(*draft)) (records []metadata.Record, more bool) {
	out := []int32{id}
	mentions := func(p *metadata.Partition) bool {
		return slices.Contains(p.ISR, id) || p.Unsettled != nil &&
			(slices.Contains(p.ELR(), id) || slices.Contains(p.LastKnownELR(), id) || slices.Contains(p.Offline(), id))
	}
	return newSweep(img, in).with(id, false).run(mentions, func(d *draft) {
		d.isr = without(d.isr, out)
		d.state.Offline = without(d.state.Offline, out)
		standing(d)
	})
}
