package api

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// addRaftVoter answers AddRaftVoter (80), versions 0 and 1 (KIP-853):
//
//	1  whether the answer waits for the decision, which it always does here
func (h *Handler) addRaftVoter(r *listener.Request, req *kmsg.AddRaftVoterRequest) {
	v := metadata.Voter{ID: req.VoterID, DirectoryID: req.VoterDirectoryID}
	for _, l := range req.Listeners {
		v.Endpoints = append(v.Endpoints, metadata.Endpoint{Listener: l.Name, Host: l.Host, Port: l.Port})
	}
	check := func() error {
		switch {
		case !validVoter(req.VoterID, req.VoterDirectoryID):
			return fmt.Errorf("Add voter request didn't include a valid voter: %w", kerr.InvalidRequest)
		case len(v.Endpoints) == 0:
			return fmt.Errorf("Add voter request didn't include a listener by which the others reach node %d: %w", req.VoterID, kerr.InvalidRequest)
		}
		return h.votersMayChange("adding")
	}
	resp, err := changeVoters[*kmsg.AddRaftVoterResponse](h, r, req, req.ClusterID, time.Duration(req.TimeoutMillis)*time.Millisecond, check,
		func(ctx context.Context) error { return h.voter.AddVoter(ctx, v) })
	if resp == nil {
		resp = req.ResponseKind().(*kmsg.AddRaftVoterResponse)
		resp.ErrorCode, resp.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
	}
	r.ReplyMsg(resp)
}

// removeRaftVoter answers RemoveRaftVoter (81), version 0 (KIP-853).
func (h *Handler) removeRaftVoter(r *listener.Request, req *kmsg.RemoveRaftVoterRequest) {
	check := func() error {
		if !validVoter(req.VoterID, req.VoterDirectoryID) {
			return fmt.Errorf("Remove voter request didn't include a valid voter: %w", kerr.InvalidRequest)
		}
		return h.votersMayChange("removing")
	}
	resp, err := changeVoters[*kmsg.RemoveRaftVoterResponse](h, r, req, req.ClusterID, decisionPatience, check,
		func(ctx context.Context) error { return h.voter.RemoveVoter(ctx, req.VoterID, req.VoterDirectoryID) })
	if resp == nil {
		resp = req.ResponseKind().(*kmsg.RemoveRaftVoterResponse)
		resp.ErrorCode, resp.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
	}
	r.ReplyMsg(resp)
}

// changeVoters changes who votes where this node leads the quorum, and returns no
// response; elsewhere it returns that of the leader.
func changeVoters[R kmsg.Response](h *Handler, r *listener.Request, req kmsg.Request, clusterID *string, patience time.Duration, check func() error, change func(context.Context) error) (resp R, err error) {
	switch {
	case !h.allowed(r, security.Alter, security.ClusterResource):
		return resp, kerr.ClusterAuthorizationFailed
	case clusterID != nil && *clusterID != h.image().ClusterID:
		return resp, fmt.Errorf("The given id %q doesn't match the cluster id %q: %w", *clusterID, h.image().ClusterID, kerr.InconsistentClusterID)
	}
	patience = min(max(patience, 0), decisionPatience)
	elsewhere := !h.cluster.Decides() && !h.forControllers
	switch {
	case elsewhere:
		patience += answerMargin
	case h.forControllers && h.ofNode(r):
		patience = min(patience, askedPatience)
	}
	ctx, cancel := context.WithTimeout(h.serving, patience)
	defer cancel()
	if elsewhere {
		return askedElsewhere[R](ctx, h, req)
	}
	if err := check(); err != nil {
		return resp, err
	}
	return resp, change(ctx)
}

// Why a voter could not be changed is known where the quorum is led. It is told in time
// for the node that passed the request on, which waits 10 s for an answer, and in time
// for its client.
const (
	askedPatience = 8 * time.Second
	answerMargin  = 2 * time.Second
)

// validVoter reports whether a voter may be so: it is a node together with the folder
// of its metadata.
func validVoter(id int32, directory [16]byte) bool { return id >= 0 && directory != [16]byte{} }

// votersMayChange refuses where the voters are a list in every node's configuration,
// or this node is alone.
func (h *Handler) votersMayChange(doing string) error {
	switch {
	case h.voter == nil:
		return fmt.Errorf("Cluster doesn't support %s voter because the kraft.version feature is 0: %w", doing, kerr.UnsupportedVersion)
	case len(h.config.Voters) > 0:
		return fmt.Errorf("The voters of this cluster are those of controller.quorum.voters, which all nodes have: change it there, "+
			"or form the cluster with controller.quorum.bootstrap.servers: %w", kerr.UnsupportedVersion)
	}
	return nil
}
