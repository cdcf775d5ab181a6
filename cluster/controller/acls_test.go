package controller

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/security"
)

func creation(change func(*kmsg.CreateACLsRequestCreation)) kmsg.CreateACLsRequestCreation {
	c := kmsg.NewCreateACLsRequestCreation()
	c.ResourceType, c.ResourceName, c.ResourcePatternType = kmsg.ACLResourceTypeTopic, "a", kmsg.ACLResourcePatternTypeLiteral
	c.Principal, c.Host, c.Operation, c.PermissionType = "User:a", "*", kmsg.ACLOperationRead, kmsg.ACLPermissionTypeAllow
	change(&c)
	return c
}

// TestACLsForNothing: Kafka has an exception for what only filters may say, which fails
// the whole request by UNKNOWN_SERVER_ERROR. Here each is told why. What else is refused is
// in the transcripts of package api.
func TestACLsForNothing(t *testing.T) {
	for _, c := range []struct {
		change func(*kmsg.CreateACLsRequestCreation)
		want   string
	}{
		{func(c *kmsg.CreateACLsRequestCreation) { c.ResourceType = kmsg.ACLResourceTypeAny }, "Invalid resourceType ANY"},
		{func(c *kmsg.CreateACLsRequestCreation) { c.ResourcePatternType = kmsg.ACLResourcePatternTypeAny }, "Invalid patternType ANY"},
		{func(c *kmsg.CreateACLsRequestCreation) { c.ResourcePatternType = kmsg.ACLResourcePatternTypeMatch }, "Invalid patternType MATCH"},
		{func(c *kmsg.CreateACLsRequestCreation) { c.Operation = kmsg.ACLOperationAny }, "Invalid operation ANY"},
		{func(c *kmsg.CreateACLsRequestCreation) { c.PermissionType = kmsg.ACLPermissionTypeAny }, "Invalid permissionType ANY"},
	} {
		req := kmsg.NewPtrCreateACLsRequest()
		req.Creations = []kmsg.CreateACLsRequestCreation{creation(c.change), creation(func(*kmsg.CreateACLsRequestCreation) {})}
		records, resp := (&Controller{}).CreateACLs(metadata.Empty(), req)
		told := resp.Results[0]
		if len(records) != 1 || told.ErrorCode != kerr.InvalidRequest.Code || told.ErrorMessage == nil || *told.ErrorMessage != c.want || resp.Results[1].ErrorCode != 0 {
			t.Errorf("%d records, answered %+v, want %q", len(records), resp.Results, c.want)
		}
	}
}

// TestTooManyACLs: one request changes 10,000 or none.
func TestTooManyACLs(t *testing.T) {
	create := kmsg.NewPtrCreateACLsRequest()
	for n := range maxRecords + 1 {
		create.Creations = append(create.Creations, creation(func(c *kmsg.CreateACLsRequestCreation) { c.ResourceName = fmt.Sprint(n) }))
	}
	records, created := (&Controller{}).CreateACLs(metadata.Empty(), create)
	if len(records) > 0 || created.Results[0].ErrorCode != kerr.PolicyViolation.Code || created.Results[maxRecords].ErrorCode != kerr.PolicyViolation.Code {
		t.Errorf("%d created, answered %+v", len(records), created.Results[0])
	}
	img := metadata.Empty()
	for n := range maxRecords + 1 {
		records = append(records, &metadata.AccessControlAdded{ACL: security.ACL{Type: security.Topic, Pattern: security.Literal, Name: fmt.Sprint(n)}})
	}
	img, _, err := img.Apply(records)
	if err != nil {
		t.Fatal(err)
	}
	drop := kmsg.NewPtrDeleteACLsRequest()
	all := kmsg.NewDeleteACLsRequestFilter()
	all.ResourceType, all.ResourcePatternType, all.Operation, all.PermissionType = 1, 1, 1, 1
	drop.Filters = slices.Repeat([]kmsg.DeleteACLsRequestFilter{all}, 2)
	records, deleted := (&Controller{}).DeleteACLs(img, drop)
	if len(records) > 0 || deleted.Results[0].ErrorCode != kerr.InvalidRequest.Code || len(deleted.Results[1].MatchingACLs) > 0 {
		t.Errorf("%d deleted, answered code %d", len(records), deleted.Results[0].ErrorCode)
	}
}
