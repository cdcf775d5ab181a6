package active

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

// decided is what became of a request: the answer, and the metadata with what was
// decided.
type decided[R any] struct {
	answer R
	outcome
}

// ask takes the decision that a request asks for.
func ask[R any](ctx context.Context, t *term, decide func(*metadata.Image) ([]metadata.Record, R)) (d decided[R]) {
	d.outcome = t.queue.take(ctx, func(img *metadata.Image) (records []metadata.Record) {
		records, d.answer = decide(img)
		return records
	})
	return d
}

// RegisterBroker lets a broker in. Why one is refused is logged: the answer has no
// room for it.
func (a *Active) RegisterBroker(ctx context.Context, req *kmsg.BrokerRegistrationRequest) *kmsg.BrokerRegistrationResponse {
	resp := req.ResponseKind().(*kmsg.BrokerRegistrationResponse)
	t, err := a.awaitTerm(ctx)
	if err != nil {
		resp.ErrorCode = protocol.ErrorCode(err)
		return resp
	}
	for {
		var why error
		d := ask(ctx, t, func(img *metadata.Image) (records []metadata.Record, resp *kmsg.BrokerRegistrationResponse) {
			records, resp, why = a.controller.RegisterBroker(img, req, t.alive(img, req.BrokerID), a.deps.Inputs())
			return records, resp
		})
		switch {
		case d.err != nil:
			resp.ErrorCode = protocol.ErrorCode(d.err)
			return resp
		case d.answer.ErrorCode == 0:
			t.registered(req.BrokerID, d.answer.BrokerEpoch, d.offset)
			a.deps.Logger.Info("a broker is registered", "broker", req.BrokerID, "epoch", d.answer.BrokerEpoch)
			return d.answer
		case d.answer.ErrorCode != kerr.RequestTimedOut.Code: // else there are partitions that it has to leave
			if t.complains(req.BrokerID, why.Error()) {
				a.deps.Logger.Warn("a broker is refused", "broker", req.BrokerID, "why", why)
			}
			return d.answer
		}
	}
}

// Heartbeat hears from a broker how it is, and tells it how it is to be.
func (a *Active) Heartbeat(ctx context.Context, req *kmsg.BrokerHeartbeatRequest) *kmsg.BrokerHeartbeatResponse {
	refuse := func(err error) *kmsg.BrokerHeartbeatResponse {
		resp := req.ResponseKind().(*kmsg.BrokerHeartbeatResponse)
		resp.ErrorCode = protocol.ErrorCode(err)
		return resp
	}
	t, err := a.awaitTerm(ctx)
	if err != nil {
		return refuse(err)
	}
	records, resp := t.judge(t.image(), req)
	if resp.ErrorCode != 0 {
		return resp
	}
	t.heard(req)
	if len(records) == 0 {
		return resp
	}
	d := ask(ctx, t, func(img *metadata.Image) ([]metadata.Record, *kmsg.BrokerHeartbeatResponse) { return t.judge(img, req) })
	if d.err != nil {
		return refuse(d.err)
	}
	t.changed(req, d)
	return d.answer
}

// judge decides what a heartbeat means.
func (t *term) judge(img *metadata.Image, req *kmsg.BrokerHeartbeatRequest) ([]metadata.Record, *kmsg.BrokerHeartbeatResponse) {
	t.mu.Lock()
	p := t.liveness.Progress(img, req.BrokerID)
	t.mu.Unlock()
	return t.active.controller.Heartbeat(img, req, p, t.active.deps.Inputs())
}

// changed notes what a heartbeat that changed something led to.
func (t *term) changed(req *kmsg.BrokerHeartbeatRequest, d decided[*kmsg.BrokerHeartbeatResponse]) {
	b, found := d.image.Broker(req.BrokerID)
	if !found || d.answer.ErrorCode != 0 {
		return
	}
	if b.InControlledShutdown { // it leads nothing from here on
		t.mu.Lock()
		t.liveness.Moved(b.ID, d.offset)
		t.mu.Unlock()
	}
	t.active.deps.Logger.Info("a broker changes", "broker", b.ID, "epoch", b.Epoch,
		"fenced", b.Fenced, "shutting_down", b.InControlledShutdown, "offline_log_dirs", len(b.OfflineLogDirs))
}

func (t *term) alive(img *metadata.Image, id int32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.liveness.Alive(img, id, t.now())
}

func (t *term) registered(id int32, epoch, offset int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.liveness.Registered(id, epoch, offset, t.now())
	delete(t.refused, id)
}

// complains reports whether a refusal is worth a word: a broker that is refused asks
// again and again.
func (t *term) complains(id int32, why string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, refused := t.refused[id]
	t.refused[id] = why
	return !refused || before != why
}

func (t *term) heard(req *kmsg.BrokerHeartbeatRequest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.liveness.Heard(req.BrokerID, req.BrokerEpoch, req.CurrentMetadataOffset, t.now())
}

// UnregisterBroker takes a broker out of the cluster.
func (a *Active) UnregisterBroker(ctx context.Context, req *kmsg.UnregisterBrokerRequest) *kmsg.UnregisterBrokerResponse {
	for {
		resp, err := answer(ctx, a, func(img *metadata.Image) ([]metadata.Record, *kmsg.UnregisterBrokerResponse) {
			return a.controller.UnregisterBroker(img, req, a.deps.Inputs())
		})
		if err != nil {
			resp = req.ResponseKind().(*kmsg.UnregisterBrokerResponse)
			resp.ErrorCode, resp.ErrorMessage = protocol.ErrorCode(err), protocol.ErrorMessage(err)
		}
		if err != nil || resp.ErrorCode != kerr.RequestTimedOut.Code { // else there are partitions that it has to leave
			return resp
		}
	}
}

// answer takes the decision that a request asks for, in the term that is.
func answer[R any](ctx context.Context, a *Active, decide func(*metadata.Image) ([]metadata.Record, R)) (resp R, err error) {
	t, err := a.awaitTerm(ctx)
	if err != nil {
		return resp, err
	}
	d := ask(ctx, t, decide)
	return d.answer, d.err
}

// AlterPartition decides on the in-sync replicas that leaders report.
func (a *Active) AlterPartition(ctx context.Context, req *kmsg.AlterPartitionRequest) *kmsg.AlterPartitionResponse {
	resp, err := answer(ctx, a, func(img *metadata.Image) ([]metadata.Record, *kmsg.AlterPartitionResponse) {
		return a.controller.AlterPartition(img, req, a.deps.Inputs())
	})
	if err != nil {
		resp = req.ResponseKind().(*kmsg.AlterPartitionResponse)
		resp.ErrorCode = protocol.ErrorCode(err)
	}
	return resp
}

// AllocateProducerIDs gives a broker producer ids that nobody else has.
func (a *Active) AllocateProducerIDs(ctx context.Context, req *kmsg.AllocateProducerIDsRequest) *kmsg.AllocateProducerIDsResponse {
	resp, err := answer(ctx, a, func(img *metadata.Image) ([]metadata.Record, *kmsg.AllocateProducerIDsResponse) {
		return a.controller.AllocateProducerIDsTo(img, req)
	})
	if err != nil {
		resp = req.ResponseKind().(*kmsg.AllocateProducerIDsResponse)
		resp.ErrorCode = protocol.ErrorCode(err)
	}
	return resp
}

// AssignReplicasToDirs hears of a broker in which log dir it keeps which partitions.
func (a *Active) AssignReplicasToDirs(ctx context.Context, req *kmsg.AssignReplicasToDirsRequest) *kmsg.AssignReplicasToDirsResponse {
	resp, err := answer(ctx, a, func(img *metadata.Image) ([]metadata.Record, *kmsg.AssignReplicasToDirsResponse) {
		return a.controller.AssignReplicasToDirs(img, req, a.deps.Inputs())
	})
	if err != nil {
		resp = req.ResponseKind().(*kmsg.AssignReplicasToDirsResponse)
		resp.ErrorCode = protocol.ErrorCode(err)
	}
	return resp
}

// ElectLeaders elects leaders that a client asks for.
func (a *Active) ElectLeaders(ctx context.Context, req *kmsg.ElectLeadersRequest) *kmsg.ElectLeadersResponse {
	resp, err := answer(ctx, a, func(img *metadata.Image) ([]metadata.Record, *kmsg.ElectLeadersResponse) {
		return a.controller.ElectLeaders(img, req, a.deps.Inputs())
	})
	if err != nil {
		resp = controller.NobodyElected(req, err)
	}
	return resp
}

// AlterPartitionReassignments begins or takes back moves of partitions.
func (a *Active) AlterPartitionReassignments(ctx context.Context, req *kmsg.AlterPartitionAssignmentsRequest) *kmsg.AlterPartitionAssignmentsResponse {
	resp, err := answer(ctx, a, func(img *metadata.Image) ([]metadata.Record, *kmsg.AlterPartitionAssignmentsResponse) {
		return a.controller.AlterPartitionReassignments(img, req, a.deps.Inputs())
	})
	if err != nil {
		resp = req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
		resp.ErrorCode, resp.ErrorMessage = protocol.ErrorCode(err), protocol.ErrorMessage(err)
	}
	return resp
}

// ListPartitionReassignments tells of the moves under way.
func (a *Active) ListPartitionReassignments(ctx context.Context, req *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	resp, err := answer(ctx, a, func(img *metadata.Image) ([]metadata.Record, *kmsg.ListPartitionReassignmentsResponse) {
		return nil, a.controller.ListPartitionReassignments(img, req)
	})
	if err != nil {
		resp = req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
		resp.ErrorCode, resp.ErrorMessage = protocol.ErrorCode(err), protocol.ErrorMessage(err)
	}
	return resp
}

// UpdateFeatures raises or lowers the levels of features.
func (a *Active) UpdateFeatures(ctx context.Context, req *kmsg.UpdateFeaturesRequest) *kmsg.UpdateFeaturesResponse {
	resp, err := answer(ctx, a, func(img *metadata.Image) ([]metadata.Record, *kmsg.UpdateFeaturesResponse) {
		return a.controller.UpdateFeatures(img, req, a.deps.Inputs())
	})
	if err != nil {
		resp = req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
		resp.ErrorCode, resp.ErrorMessage = protocol.ErrorCode(err), protocol.ErrorMessage(err)
	}
	return resp
}
