package api

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// The ACL APIs (KIP-140). Where there is no authorizer they say so, and keep nothing.
//
// DescribeAcls (29), CreateAcls (30) and DeleteAcls (31), versions 1 to 3:
//
//	2  flexible    3  user resources

var (
	errNoAuthorizer = fmt.Errorf("No Authorizer is configured.: %w", kerr.SecurityDisabled)
	errUnknownInACL = errors.New("a number in it is 0, which no client may send")
)

// keepsACLs reports whether there is an authorizer.
func (h *Handler) keepsACLs() bool {
	_, none := h.authorizer.(security.AllowAll)
	return !none
}

// mayAlterACLs says why the client may not change ACLs.
func (h *Handler) mayAlterACLs(r *listener.Request) error {
	switch {
	case !h.allowed(r, security.Alter, security.ClusterResource):
		return kerr.ClusterAuthorizationFailed
	case !h.keepsACLs():
		return errNoAuthorizer
	}
	return nil
}

func (h *Handler) describeACLs(r *listener.Request, req *kmsg.DescribeACLsRequest) {
	f := security.Filter{
		Type: security.ResourceType(req.ResourceType), Pattern: security.PatternType(req.ResourcePatternType), Name: req.ResourceName,
		Principal: req.Principal, Host: req.Host, Operation: security.Operation(req.Operation), Permission: security.Permission(req.PermissionType),
	}
	if f.Type == 0 || f.Pattern == 0 || f.Operation == 0 || f.Permission == 0 {
		r.Hangup(fmt.Errorf("a filter of ACLs is malformed: %w", errUnknownInACL))
		return
	}
	resp := req.ResponseKind().(*kmsg.DescribeACLsResponse)
	switch {
	case !h.allowed(r, security.Describe, security.ClusterResource):
		resp.ErrorCode, resp.ErrorMessage = kerr.ClusterAuthorizationFailed.Code, protocol.ErrorMessage(kerr.ClusterAuthorizationFailed)
	case !h.keepsACLs():
		resp.ErrorCode, resp.ErrorMessage = kerr.SecurityDisabled.Code, kmsg.StringPtr("No Authorizer is configured on the broker")
	default:
		resp.ErrorMessage, resp.Resources = kmsg.StringPtr(""), describedACLs(h.image(), &f)
	}
	r.ReplyMsg(resp)
}

// describedACLs returns what a filter picks, by pattern.
func describedACLs(img *metadata.Image, f *security.Filter) (all []kmsg.DescribeACLsResponseResource) {
	var last security.ACL
	for a := range img.ACLs() {
		if !f.Matches(a) {
			continue
		}
		if len(all) == 0 || a.Type != last.Type || a.Pattern != last.Pattern || a.Name != last.Name {
			told := kmsg.NewDescribeACLsResponseResource()
			told.ResourceType, told.ResourceName, told.ResourcePatternType = kmsg.ACLResourceType(a.Type), a.Name, kmsg.ACLResourcePatternType(a.Pattern)
			all, last = append(all, told), a
		}
		one := kmsg.NewDescribeACLsResponseResourceACL()
		one.Principal, one.Host, one.Operation, one.PermissionType = a.Principal, a.Host, kmsg.ACLOperation(a.Operation), kmsg.ACLPermissionType(a.Permission)
		all[len(all)-1].ACLs = append(all[len(all)-1].ACLs, one)
	}
	return all
}

func (h *Handler) createACLs(r *listener.Request, req *kmsg.CreateACLsRequest) {
	for _, c := range req.Creations {
		if c.ResourceType == 0 || c.ResourcePatternType == 0 || c.Operation == 0 || c.PermissionType == 0 {
			r.Hangup(fmt.Errorf("an ACL to create is malformed: %w", errUnknownInACL))
			return
		}
	}
	var resp *kmsg.CreateACLsResponse
	err := h.mayAlterACLs(r)
	if err == nil {
		resp, err = decide(h, req, func(img *metadata.Image) ([]metadata.Record, *kmsg.CreateACLsResponse) {
			return h.controller.CreateACLs(img, req)
		})
	}
	if err != nil {
		resp = req.ResponseKind().(*kmsg.CreateACLsResponse)
		resp.Results = refuseAll(req.Creations, err, func(_ *kmsg.CreateACLsRequestCreation, err error) kmsg.CreateACLsResponseResult {
			told := kmsg.NewCreateACLsResponseResult()
			told.ErrorCode, told.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
			return told
		})
	}
	r.ReplyMsg(resp)
}

func (h *Handler) deleteACLs(r *listener.Request, req *kmsg.DeleteACLsRequest) {
	for _, f := range req.Filters {
		if f.ResourceType == 0 || f.ResourcePatternType == 0 || f.Operation == 0 || f.PermissionType == 0 {
			r.Hangup(fmt.Errorf("a filter of ACLs is malformed: %w", errUnknownInACL))
			return
		}
	}
	var resp *kmsg.DeleteACLsResponse
	err := h.mayAlterACLs(r)
	if err == nil {
		resp, err = decide(h, req, func(img *metadata.Image) ([]metadata.Record, *kmsg.DeleteACLsResponse) {
			return h.controller.DeleteACLs(img, req)
		})
	}
	if err != nil {
		resp = req.ResponseKind().(*kmsg.DeleteACLsResponse)
		resp.Results = refuseAll(req.Filters, err, func(_ *kmsg.DeleteACLsRequestFilter, err error) kmsg.DeleteACLsResponseResult {
			told := kmsg.NewDeleteACLsResponseResult()
			told.ErrorCode, told.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
			return told
		})
	}
	r.ReplyMsg(resp)
}
