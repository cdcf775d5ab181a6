package api

import (
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// describeClientQuotas answers DescribeClientQuotas (48), versions 0 and 1 (KIP-546):
//
//	1  flexible
func (h *Handler) describeClientQuotas(r *listener.Request, req *kmsg.DescribeClientQuotasRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeClientQuotasResponse)
	if !h.allowed(r, security.DescribeConfigs, security.ClusterResource) {
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		r.ReplyMsg(resp)
		return
	}
	wanted, err := newQuotaFilter(req)
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage, resp.Entries = errorCode(err), protocol.ErrorMessage(err), nil
		r.ReplyMsg(resp)
		return
	}
	resp.ErrorMessage, resp.Entries = addressOf(""), []kmsg.DescribeClientQuotasResponseEntry{}
	for entity, set := range h.image().Quotas() {
		if wanted.fits(entity) {
			resp.Entries = append(resp.Entries, describedQuotas(entity, set))
		}
	}
	r.ReplyMsg(resp)
}

func describedQuotas(entity metadata.QuotaEntity, set map[string]float64) kmsg.DescribeClientQuotasResponseEntry {
	told := kmsg.NewDescribeClientQuotasResponseEntry()
	for _, kind := range quotaTypes {
		if name := partOf(&entity, kind); name.Is {
			part := kmsg.DescribeClientQuotasResponseEntryEntity{Type: kind}
			if name.Name != "" {
				part.Name = &name.Name
			}
			told.Entity = append(told.Entity, part)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		told.Values = append(told.Values, kmsg.DescribeClientQuotasResponseEntryValue{Key: key, Value: set[key]})
	}
	return told
}

var quotaTypes = []string{controller.QuotaUser, controller.QuotaClientID, controller.QuotaIP}

func partOf(e *metadata.QuotaEntity, kind string) metadata.QuotaName {
	switch kind {
	case controller.QuotaUser:
		return e.User
	case controller.QuotaClientID:
		return e.ClientID
	}
	return e.IP
}

// quotaFilter picks entities: by a part's name, which a nil one does not look at, or for
// strict by having no other parts than those that are named.
type quotaFilter struct {
	parts  map[string]*metadata.QuotaName
	strict bool
}

func newQuotaFilter(req *kmsg.DescribeClientQuotasRequest) (quotaFilter, error) {
	f := quotaFilter{parts: map[string]*metadata.QuotaName{}, strict: req.Strict}
	for _, c := range req.Components {
		_, twice := f.parts[c.EntityType]
		switch {
		case c.EntityType == "":
			return f, fmt.Errorf("Invalid empty entity type.: %w", kerr.InvalidRequest)
		case twice:
			return f, fmt.Errorf("Entity type %s cannot appear more than once in the filter.: %w", c.EntityType, kerr.InvalidRequest)
		case !slices.Contains(quotaTypes, c.EntityType):
			return f, fmt.Errorf("Unsupported entity type %s: %w", c.EntityType, kerr.UnsupportedVersion)
		}
		name, err := matchedQuota(c)
		if err != nil {
			return f, err
		}
		f.parts[c.EntityType] = name
	}
	if _, byIP := f.parts[controller.QuotaIP]; byIP && len(f.parts) > 1 {
		return f, fmt.Errorf("Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.: %w", kerr.InvalidRequest)
	}
	return f, nil
}

// matchedQuota is the name that a component asks for, nil for any.
func matchedQuota(c kmsg.DescribeClientQuotasRequestComponent) (*metadata.QuotaName, error) {
	name := metadata.DefaultQuota()
	switch {
	case c.MatchType == kmsg.QuotasMatchTypeExact && c.Match == nil:
		return nil, fmt.Errorf("Request specified MATCH_TYPE_EXACT, but set match string to null.: %w", kerr.InvalidRequest)
	case c.MatchType == kmsg.QuotasMatchTypeExact:
		name = metadata.NamedQuota(*c.Match)
	case c.MatchType == kmsg.QuotasMatchTypeDefault && c.Match != nil:
		return nil, fmt.Errorf("Request specified MATCH_TYPE_DEFAULT, but also specified a match string.: %w", kerr.InvalidRequest)
	case c.MatchType == kmsg.QuotasMatchTypeDefault:
	case c.MatchType == kmsg.QuotasMatchTypeAny && c.Match != nil:
		return nil, fmt.Errorf("Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.: %w", kerr.InvalidRequest)
	case c.MatchType == kmsg.QuotasMatchTypeAny:
		return nil, nil
	default:
		return nil, fmt.Errorf("Unknown match type %d: %w", c.MatchType, kerr.InvalidRequest)
	}
	return &name, nil
}

func (f *quotaFilter) fits(e metadata.QuotaEntity) bool {
	for _, kind := range quotaTypes {
		want, asked := f.parts[kind]
		is := partOf(&e, kind)
		switch {
		case !asked && f.strict && is.Is, asked && !is.Is:
			return false
		case asked && want != nil && *want != is:
			return false
		}
	}
	return len(f.parts) > 0 || !f.strict
}

// alterClientQuotas answers AlterClientQuotas (49), versions 0 and 1 (KIP-546):
//
//	1  flexible
func (h *Handler) alterClientQuotas(r *listener.Request, req *kmsg.AlterClientQuotasRequest) {
	var resp *kmsg.AlterClientQuotasResponse
	err := unless(h.allowed(r, security.AlterConfigs, security.ClusterResource), kerr.ClusterAuthorizationFailed)
	if err == nil {
		resp, err = decide(h, req, func(img *metadata.Image) ([]metadata.Record, *kmsg.AlterClientQuotasResponse) {
			return h.controller.AlterClientQuotas(img, req)
		})
	}
	if err != nil {
		resp = req.ResponseKind().(*kmsg.AlterClientQuotasResponse)
		resp.Entries = refuseAll(req.Entries, err, refusedQuotas)
	}
	r.ReplyMsg(resp)
}

func refusedQuotas(asked *kmsg.AlterClientQuotasRequestEntry, err error) kmsg.AlterClientQuotasResponseEntry {
	told := kmsg.NewAlterClientQuotasResponseEntry()
	told.ErrorCode, told.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
	for _, e := range asked.Entity {
		told.Entity = append(told.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: e.Type, Name: e.Name})
	}
	return told
}
