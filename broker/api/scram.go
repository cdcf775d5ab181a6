package api

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// The passwords of SCRAM's users (KIP-554): DescribeUserScramCredentials (50) and
// AlterUserScramCredentials (51), version 0. What comes is salted, and what is kept
// verifies and cannot log in.

func (h *Handler) describeScramCredentials(r *listener.Request, req *kmsg.DescribeUserSCRAMCredentialsRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	if !h.allowed(r, security.Describe, security.ClusterResource) {
		resp.ErrorCode, resp.ErrorMessage = kerr.ClusterAuthorizationFailed.Code, protocol.ErrorMessage(kerr.ClusterAuthorizationFailed)
		r.ReplyMsg(resp)
		return
	}
	resp.ErrorMessage = kmsg.StringPtr("")
	known := scramUsers(h.image())
	asked := map[string]int{}
	var names []string
	for _, u := range req.Users {
		if asked[u.Name]++; asked[u.Name] == 1 {
			names = append(names, u.Name)
		}
	}
	if len(req.Users) == 0 { // all of them
		for name := range known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		resp.Results = append(resp.Results, describedUser(name, known[name], asked[name] > 1))
	}
	r.ReplyMsg(resp)
}

type describedCredential = kmsg.DescribeUserSCRAMCredentialsResponseResultCredentialInfo

// scramUsers are the passwords of all users, without what is secret.
func scramUsers(img *metadata.Image) map[string][]describedCredential {
	all := map[string][]describedCredential{}
	for c := range img.ScramCredentials() {
		told := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
		told.Mechanism, told.Iterations = int8(c.Mechanism), c.Iterations
		all[c.Name] = append(all[c.Name], told)
	}
	return all
}

func describedUser(name string, credentials []describedCredential, twice bool) kmsg.DescribeUserSCRAMCredentialsResponseResult {
	told := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
	told.User = name
	var err error
	switch {
	case twice:
		err = fmt.Errorf("Cannot describe SCRAM credentials for the same user twice in a single request: %s: %w", name, kerr.DuplicateResource)
	case len(credentials) == 0:
		err = fmt.Errorf("Attempt to describe a user credential that does not exist: %s: %w", name, kerr.ResourceNotFound)
	default:
		told.ErrorMessage, told.CredentialInfos = kmsg.StringPtr(""), credentials
		return told
	}
	told.ErrorCode, told.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
	return told
}

func (h *Handler) alterScramCredentials(r *listener.Request, req *kmsg.AlterUserSCRAMCredentialsRequest) {
	err := unless(h.allowed(r, security.Alter, security.ClusterResource), kerr.ClusterAuthorizationFailed)
	var resp *kmsg.AlterUserSCRAMCredentialsResponse
	if err == nil {
		resp, err = decide(h, req, func(img *metadata.Image) ([]metadata.Record, *kmsg.AlterUserSCRAMCredentialsResponse) {
			return h.controller.AlterUserSCRAMCredentials(img, req)
		})
	}
	if err != nil {
		resp = req.ResponseKind().(*kmsg.AlterUserSCRAMCredentialsResponse)
		for _, name := range alteredUsers(req) {
			told := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
			told.User, told.ErrorCode, told.ErrorMessage = name, errorCode(err), protocol.ErrorMessage(err)
			resp.Results = append(resp.Results, told)
		}
	}
	r.ReplyMsg(resp)
}

// alteredUsers are the users that a request names, each once.
func alteredUsers(req *kmsg.AlterUserSCRAMCredentialsRequest) []string {
	var names []string
	for _, d := range req.Deletions {
		names = append(names, d.Name)
	}
	for _, u := range req.Upsertions {
		names = append(names, u.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
