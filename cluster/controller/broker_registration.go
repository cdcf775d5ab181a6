package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

// RegisterBroker lets a broker in, fenced, until a heartbeat shows that it has read
// as much of the metadata as its registration. alive says whether the broker that
// holds the id now has been heard of lately: its id is not given to another. The
// same incarnation that asks again keeps its epoch.
//
// A broker that comes back is out of every ISR. Whether it may still lead depends on
// what it brings: nothing counts that was on a log dir which is gone, and where a
// topic's records are acknowledged before they are flushed, a broker that did not
// shut down in order (its previous epoch is not the one it had) may have lost some.
//
// The error says why a broker is refused, which the response has no room for.
func (*Controller) RegisterBroker(img *metadata.Image, req *kmsg.BrokerRegistrationRequest, alive bool, in Inputs) ([]metadata.Record, *kmsg.BrokerRegistrationResponse, error) {
	resp := req.ResponseKind().(*kmsg.BrokerRegistrationResponse)
	known, found := img.Broker(req.BrokerID)
	if err := checkRegistration(img, req, known, alive); err != nil {
		resp.ErrorCode, _ = answer(err)
		return nil, resp, err
	}
	b := registeredBroker(req)
	if found && known.Incarnation == b.Incarnation {
		b.Epoch, b.BrokerState = known.Epoch, amend(known.BrokerState, b.LogDirs)
		resp.BrokerEpoch = b.Epoch
		return []metadata.Record{&metadata.BrokerRegistered{Broker: b}}, resp, nil
	}
	records, more := forget(img, b.ID, in, returning(known, req))
	if more {
		resp.ErrorCode, _ = answer(errMore)
		return records, resp, errMore
	}
	b.Epoch, b.Fenced = img.LastBrokerEpoch()+1, true
	if found {
		b.Cordoned = known.Cordoned
	}
	resp.BrokerEpoch = b.Epoch
	return append(records, &metadata.BrokerRegistered{Broker: b}), resp, nil
}

// amend keeps what a broker's state is when the same incarnation registers again.
func amend(state metadata.BrokerState, logDirs [][16]byte) metadata.BrokerState {
	state.LogDirs = slices.DeleteFunc(logDirs, func(dir [16]byte) bool { return slices.Contains(state.OfflineLogDirs, dir) })
	return state
}

// returning says what becomes of the standing of a broker that starts anew. known is
// nil for one that was not registered.
func returning(known *metadata.Broker, req *kmsg.BrokerRegistrationRequest) func(*draft) {
	id := []int32{req.BrokerID}
	if known == nil || lostDir(known, req.LogDirs) {
		return func(d *draft) { d.emptied = id }
	}
	if req.PreviousBrokerEpoch == known.Epoch {
		return func(*draft) {}
	}
	return func(d *draft) {
		if d.rules.lenient {
			d.suspect = id
		}
	}
}

// lostDir reports whether a log dir that the broker had is not among the given ones.
func lostDir(known *metadata.Broker, now [][16]byte) bool {
	for _, had := range slices.Concat(known.LogDirs, known.OfflineLogDirs) {
		if !slices.Contains(now, had) {
			return true
		}
	}
	return false
}

func checkRegistration(img *metadata.Image, req *kmsg.BrokerRegistrationRequest, known *metadata.Broker, alive bool) error {
	switch {
	case req.ClusterID != img.ClusterID:
		return refuse(kerr.InconsistentClusterID, "Expected cluster ID %s, but got cluster ID %s", img.ClusterID, req.ClusterID)
	case known != nil && alive && known.Incarnation != req.IncarnationID:
		return refuse(kerr.DuplicateBrokerRegistration, "Another broker is registered with that broker id.")
	case req.IsMigratingZkBroker:
		return refuse(kerr.BrokerIDNotRegistered, "Controller does not support registering ZK brokers.")
	}
	if err := checkLogDirs(img, req); err != nil {
		return err
	}
	return checkFeatures(img, req)
}

func checkLogDirs(img *metadata.Image, req *kmsg.BrokerRegistrationRequest) error {
	if len(req.LogDirs) == 0 {
		return refuse(kerr.InvalidRegistration, "No directories specified in request")
	}
	for i, dir := range req.LogDirs {
		if reservedDir(dir) {
			return refuse(kerr.InvalidRegistration, "Reserved directory ID in request")
		}
		if slices.Contains(req.LogDirs[:i], dir) {
			return refuse(kerr.InvalidRegistration, "Duplicate directory ID in request")
		}
		for b := range img.Brokers() {
			if b.ID != req.BrokerID && (slices.Contains(b.LogDirs, dir) || slices.Contains(b.OfflineLogDirs, dir)) {
				return refuse(kerr.InvalidRegistration, "Broker %d is already registered with directory %s", b.ID, protocol.TopicID(dir))
			}
		}
	}
	return nil
}

// reservedDir reports whether the id is one of the first hundred, which Kafka keeps
// for meanings of their own.
func reservedDir(id [16]byte) bool {
	last := id[15]
	id[15] = 0
	return id == [16]byte{} && last < 100
}

// checkFeatures refuses a broker that is older than what the cluster relies on.
func checkFeatures(img *metadata.Image, req *kmsg.BrokerRegistrationRequest) error {
	for name, level := range img.Features() {
		var low, high int16
		for _, f := range req.Features {
			if f.Name == name {
				low, high = f.MinSupportedVersion, f.MaxSupportedVersion
			}
		}
		if level < low || level > high {
			return refuse(kerr.UnsupportedVersion, "Unable to register because the broker does not support finalized version %d of %s. "+
				"The broker wants a version between %d and %d, inclusive.", level, name, low, high)
		}
	}
	return nil
}

func registeredBroker(req *kmsg.BrokerRegistrationRequest) metadata.Broker {
	b := metadata.Broker{ID: req.BrokerID, Incarnation: req.IncarnationID}
	b.LogDirs = slices.Clone(req.LogDirs)
	if req.Rack != nil {
		b.Rack = *req.Rack
	}
	for _, l := range req.Listeners {
		b.Endpoints = append(b.Endpoints, metadata.Endpoint{Listener: l.Name, Host: l.Host, Port: l.Port, SecurityProtocol: l.SecurityProtocol})
	}
	for _, f := range req.Features {
		b.Features = append(b.Features, metadata.FeatureRange{Name: f.Name, Min: f.MinSupportedVersion, Max: f.MaxSupportedVersion})
	}
	return b
}
