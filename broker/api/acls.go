package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
)

// The ACL APIs (KIP-140). There is no authorizer to keep ACLs yet, and they say so
// as Kafka does where none is configured.
//
// DescribeAcls (29), CreateAcls (30) and DeleteAcls (31), versions 1 to 3:
//
//	2  flexible    3  user resources

func (h *Handler) describeACLs(r *listener.Request, req *kmsg.DescribeACLsRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeACLsResponse)
	resp.ErrorCode = kerr.SecurityDisabled.Code
	resp.ErrorMessage = kmsg.StringPtr("No Authorizer is configured on the broker")
	r.ReplyMsg(resp)
}

func (h *Handler) createACLs(r *listener.Request, req *kmsg.CreateACLsRequest) {
	resp := req.ResponseKind().(*kmsg.CreateACLsResponse)
	for range req.Creations {
		told := kmsg.NewCreateACLsResponseResult()
		told.ErrorCode, told.ErrorMessage = securityDisabled()
		resp.Results = append(resp.Results, told)
	}
	r.ReplyMsg(resp)
}

func (h *Handler) deleteACLs(r *listener.Request, req *kmsg.DeleteACLsRequest) {
	resp := req.ResponseKind().(*kmsg.DeleteACLsResponse)
	for range req.Filters {
		told := kmsg.NewDeleteACLsResponseResult()
		told.ErrorCode, told.ErrorMessage = securityDisabled()
		resp.Results = append(resp.Results, told)
	}
	r.ReplyMsg(resp)
}

func securityDisabled() (code int16, message *string) {
	return kerr.SecurityDisabled.Code, kmsg.StringPtr("No Authorizer is configured.")
}
