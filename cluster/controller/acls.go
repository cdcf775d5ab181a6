package controller

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/security"
)

// CreateACLs adds those of the ACLs that are sound; one that is there already is no
// error.
func (*Controller) CreateACLs(img *metadata.Image, req *kmsg.CreateACLsRequest) (records []metadata.Record, _ *kmsg.CreateACLsResponse) {
	resp := req.ResponseKind().(*kmsg.CreateACLsResponse)
	added := map[security.ACL]bool{}
	for i := range req.Creations {
		told := kmsg.NewCreateACLsResponseResult()
		acl := createdACL(&req.Creations[i])
		if err := checkACL(acl); err != nil {
			told.ErrorCode, told.ErrorMessage = answer(err)
			resp.Results = append(resp.Results, told)
			continue
		}
		told.ErrorMessage = kmsg.StringPtr("")
		if !added[acl] && !img.HasACL(acl) {
			added[acl] = true
			records = append(records, &metadata.AccessControlAdded{ACL: acl})
		}
		resp.Results = append(resp.Results, told)
	}
	if len(records) > maxRecords {
		for i := range resp.Results {
			resp.Results[i].ErrorCode, resp.Results[i].ErrorMessage = answer(errTooMany)
		}
		return nil, resp
	}
	return records, resp
}

func createdACL(c *kmsg.CreateACLsRequestCreation) security.ACL {
	return security.ACL{
		Type: security.ResourceType(c.ResourceType), Pattern: security.PatternType(c.ResourcePatternType), Name: c.ResourceName,
		Principal: c.Principal, Host: c.Host, Operation: security.Operation(c.Operation), Permission: security.Permission(c.PermissionType),
	}
}

// checkACL says why an ACL cannot be.
func checkACL(a security.ACL) error {
	switch {
	case a.Type == security.Cluster && a.Name != security.ClusterResource.Name:
		return refuse(kerr.InvalidRequest, "The only valid name for the CLUSTER resource is %s", security.ClusterResource.Name)
	case a.Name == "":
		return refuse(kerr.InvalidRequest, "Invalid empty resource name")
	case a.Type < security.Topic || a.Type > security.User:
		return refuse(kerr.InvalidRequest, "Invalid resourceType %s", anyOrUnknown(int8(a.Type)))
	case a.Pattern != security.Literal && a.Pattern != security.Prefixed:
		return refuse(kerr.InvalidRequest, "Invalid patternType %s", patternWord(a.Pattern))
	case a.Operation < security.All || a.Operation > security.TwoPhaseCommit:
		return refuse(kerr.InvalidRequest, "Invalid operation %s", anyOrUnknown(int8(a.Operation)))
	case a.Permission != security.Deny && a.Permission != security.Allow:
		return refuse(kerr.InvalidRequest, "Invalid permissionType %s", anyOrUnknown(int8(a.Permission)))
	case !strings.Contains(a.Principal, ":"):
		return refuse(kerr.InvalidRequest, "Could not parse principal from `%s` (no colon is present separating the principal type from the principal name)", a.Principal)
	}
	return nil
}

func anyOrUnknown(number int8) string {
	if number == security.Any {
		return "ANY"
	}
	return "UNKNOWN"
}

func patternWord(p security.PatternType) string {
	if p == security.Match {
		return "MATCH"
	}
	return anyOrUnknown(int8(p))
}

// DeleteACLs removes what any of the filters picks. Each filter is told of all that it
// picked, though another picked it too.
func (*Controller) DeleteACLs(img *metadata.Image, req *kmsg.DeleteACLsRequest) (records []metadata.Record, _ *kmsg.DeleteACLsResponse) {
	resp := req.ResponseKind().(*kmsg.DeleteACLsResponse)
	removed := map[security.ACL]bool{}
	for i := range req.Filters {
		f := deletionFilter(&req.Filters[i])
		told := kmsg.NewDeleteACLsResponseResult()
		if err := checkFilter(&f); err != nil {
			told.ErrorCode, told.ErrorMessage = answer(err)
			resp.Results = append(resp.Results, told)
			continue
		}
		for a := range img.ACLs() {
			if !f.Matches(a) {
				continue
			}
			told.MatchingACLs = append(told.MatchingACLs, matchingACL(a))
			if !removed[a] {
				removed[a] = true
				records = append(records, &metadata.AccessControlRemoved{ACL: a})
			}
		}
		resp.Results = append(resp.Results, told)
	}
	if len(records) > maxRecords {
		why := refuse(kerr.InvalidRequest, "Cannot remove more than %d acls in a single delete operation.", maxRecords)
		resp.Results = slices.Repeat([]kmsg.DeleteACLsResponseResult{kmsg.NewDeleteACLsResponseResult()}, len(req.Filters))
		for i := range resp.Results {
			resp.Results[i].ErrorCode, resp.Results[i].ErrorMessage = answer(why)
		}
		return nil, resp
	}
	return records, resp
}

func deletionFilter(f *kmsg.DeleteACLsRequestFilter) security.Filter {
	return security.Filter{
		Type: security.ResourceType(f.ResourceType), Pattern: security.PatternType(f.ResourcePatternType), Name: f.ResourceName,
		Principal: f.Principal, Host: f.Host, Operation: security.Operation(f.Operation), Permission: security.Permission(f.PermissionType),
	}
}

// checkFilter says why a filter cannot be used.
func checkFilter(f *security.Filter) error {
	switch {
	case f.Type < security.Any || f.Type > security.User || f.Pattern < security.AnyPattern || f.Pattern > security.Prefixed:
		return refuse(kerr.InvalidRequest, "Unknown patternFilter.")
	case f.Operation < security.Any || f.Operation > security.TwoPhaseCommit || f.Permission < security.Any || f.Permission > security.Allow:
		return refuse(kerr.InvalidRequest, "Unknown entryFilter.")
	}
	return nil
}

func matchingACL(a security.ACL) kmsg.DeleteACLsResponseResultMatchingACL {
	told := kmsg.NewDeleteACLsResponseResultMatchingACL()
	told.ResourceType, told.ResourceName, told.ResourcePatternType = kmsg.ACLResourceType(a.Type), a.Name, kmsg.ACLResourcePatternType(a.Pattern)
	told.Principal, told.Host, told.Operation, told.PermissionType = a.Principal, a.Host, kmsg.ACLOperation(a.Operation), kmsg.ACLPermissionType(a.Permission)
	return told
}
