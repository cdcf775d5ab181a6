package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// Progress is how far brokers have read the metadata log, in offsets, which is what
// a heartbeat is judged by besides the metadata. [Liveness] knows it.
type Progress struct {
	// Registered is what a fenced broker must have reached before it takes part: its
	// registration.
	Registered int64
	// Moved is where other brokers learn that a broker in controlled shutdown leads
	// nothing any more.
	Moved int64
	// Lowest is what every active broker has reached.
	Lowest int64
}

// Heartbeat decides what becomes of a broker that says how it is: whether it is
// fenced, takes part, gets its partitions led elsewhere because it wants to shut
// down, or may shut down now. Log dirs that have failed are noted.
func (*Controller) Heartbeat(img *metadata.Image, req *kmsg.BrokerHeartbeatRequest, p Progress, in Inputs) ([]metadata.Record, *kmsg.BrokerHeartbeatResponse) {
	resp := req.ResponseKind().(*kmsg.BrokerHeartbeatResponse)
	b, err := checkBrokerEpoch(img, req.BrokerID, req.BrokerEpoch)
	if err != nil {
		resp.ErrorCode, _ = answer(err)
		return nil, resp
	}
	b = noteDirs(b, req)
	resp.IsCaughtUp = req.CurrentMetadataOffset >= p.Registered
	resp.IsFenced = b.Fenced
	records := heartbeat(img, b, req, p, in, resp)
	if known, _ := img.Broker(b.ID); !known.BrokerState.Equal(&b.BrokerState) && !changesBroker(records) {
		records = append(records, changeBroker(b, b.BrokerState))
	}
	return records, resp
}

func changesBroker(records []metadata.Record) bool {
	return slices.ContainsFunc(records, func(r metadata.Record) bool { _, is := r.(*metadata.BrokerChanged); return is })
}

// checkBrokerEpoch refuses a broker that is not the one that is registered.
func checkBrokerEpoch(img *metadata.Image, id int32, epoch int64) (*metadata.Broker, error) {
	b, found := img.Broker(id)
	switch {
	case !found:
		return nil, refuse(kerr.StaleBrokerEpoch, "No broker registration found for broker id %d", id)
	case b.Epoch != epoch:
		return nil, refuse(kerr.StaleBrokerEpoch, "Expected broker epoch %d, but got broker epoch %d", b.Epoch, epoch)
	}
	return b, nil
}

// noteDirs returns the broker with what the heartbeat says of its log dirs.
func noteDirs(b *metadata.Broker, req *kmsg.BrokerHeartbeatRequest) *metadata.Broker {
	noted := *b
	for _, dir := range req.OfflineLogDirs {
		if at := slices.Index(noted.LogDirs, dir); at >= 0 {
			noted.LogDirs = slices.Delete(slices.Clone(noted.LogDirs), at, at+1)
			noted.OfflineLogDirs = append(slices.Clone(noted.OfflineLogDirs), dir)
		}
	}
	if req.CordonedLogDirs != nil {
		noted.Cordoned = len(noted.LogDirs) > 0 && !slices.ContainsFunc(noted.LogDirs, func(dir [16]byte) bool { return !slices.Contains(req.CordonedLogDirs, dir) })
	}
	return &noted
}

// heartbeat moves the broker on to its next state, if it is time, and says so.
func heartbeat(img *metadata.Image, b *metadata.Broker, req *kmsg.BrokerHeartbeatRequest, p Progress, in Inputs, resp *kmsg.BrokerHeartbeatResponse) (records []metadata.Record) {
	var more bool
	switch {
	case b.Fenced && req.WantShutdown:
		resp.ShouldShutdown = true
	case b.Fenced && !req.WantFence && resp.IsCaughtUp:
		records, _ = unfence(img, b, in)
		resp.IsFenced = false
	case b.Fenced:
	case b.InControlledShutdown:
		if leads(img, b.ID) || p.Moved > p.Lowest {
			return nil
		}
		records, more = fence(img, b, in)
		resp.IsFenced, resp.ShouldShutdown = !more, !more
	case req.WantFence, req.WantShutdown && !leads(img, b.ID):
		records, more = fence(img, b, in)
		resp.IsFenced, resp.ShouldShutdown = !more, !more && req.WantShutdown
	case req.WantShutdown:
		return shutDown(img, b, in)
	}
	return records
}

// shutDown begins a controlled shutdown: the broker leaves every ISR, and others
// lead its partitions.
func shutDown(img *metadata.Image, b *metadata.Broker, in Inputs) []metadata.Record {
	state := b.BrokerState
	state.InControlledShutdown = true
	records, more := leaveISRs(img, b.ID, in)
	if more {
		return records // the next heartbeat goes on
	}
	return append(records, changeBroker(b, state))
}
