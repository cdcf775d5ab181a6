package group

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Describe tells what a group is doing.
func (c *Coordinator) Describe(id string, version int16) kmsg.DescribeGroupsResponseGroup {
	told := kmsg.NewDescribeGroupsResponseGroup()
	told.Group = id
	g := c.groups[id]
	if g == nil || g.consumer != nil {
		told.State = "Dead"
		if version >= 6 {
			message := "Group " + id + " not found."
			if g != nil {
				message = "Group " + id + " is not a classic group."
			}
			told.ErrorCode, told.ErrorMessage = kerr.GroupIDNotFound.Code, &message
		}
		return told
	}
	told.State, told.ProtocolType = g.state.String(), g.protocolType
	if g.state == stable {
		told.Protocol = g.protocol
	}
	for m := range g.each {
		member := kmsg.NewDescribeGroupsResponseGroupMember()
		member.MemberID, member.InstanceID = m.id, m.instanceID
		member.ClientID, member.ClientHost = m.client.ID, m.client.Host
		member.ProtocolMetadata, member.MemberAssignment = []byte{}, append([]byte{}, m.assignment...)
		if g.state == stable {
			member.ProtocolMetadata = m.metadata(g.protocol)
		}
		told.Members = append(told.Members, member)
	}
	return told
}

// List lists the groups that are in one of the states and of one of the types;
// an empty filter takes all.
func (c *Coordinator) List(states, types []string) []kmsg.ListGroupsResponseGroup {
	var all []kmsg.ListGroupsResponseGroup
	for _, g := range c.groups {
		kind, state := g.kind()
		if !passes(types, kind) || !passes(states, state) {
			continue
		}
		told := kmsg.NewListGroupsResponseGroup()
		told.Group, told.ProtocolType, told.GroupState, told.GroupType = g.id, g.protocolType, state, kind
		if g.consumer != nil {
			told.ProtocolType = consumerProtocol
		}
		all = append(all, told)
	}
	return all
}

// kind is the group's type and its state, as clients know them.
func (g *group) kind() (kind, state string) {
	if g.consumer != nil {
		return "consumer", g.consumer.String()
	}
	return "classic", g.state.String()
}

func passes(filter []string, value string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
}

// Delete deletes a group that has no members, and its offsets.
func (c *Coordinator) Delete(id string, to Ticket) (out Output) {
	answer := func(err error) *kmsg.DeleteGroupsResponse {
		told := kmsg.NewDeleteGroupsResponseGroup()
		told.Group, told.ErrorCode = id, code(err)
		resp := kmsg.NewPtrDeleteGroupsResponse()
		resp.Groups = append(resp.Groups, told)
		return resp
	}
	g := c.groups[id]
	switch {
	case g == nil:
		out.reply(to, answer(kerr.GroupIDNotFound))
		return out
	case !g.isEmpty():
		out.reply(to, answer(kerr.NonEmptyGroup))
		return out
	}
	gone := slices.Collect(maps.Keys(g.offsets))
	c.forget(g, gone, true, &out, func(err error) []Reply {
		return []Reply{{To: to, Response: answer(err), Failed: answer(kerr.NotCoordinator)}}
	})
	return out
}
