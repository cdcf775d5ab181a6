package main

import (
	"slices"

	"github.com/spf13/cobra"
)

// aclUses are what somebody is to do, for which he needs several ACLs.
type aclUses struct{ producer, consumer bool }

func (u *aclUses) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&u.producer, "producer", false, "what a producer needs: write, describe and create topics, and write and describe transactional ids")
	cmd.Flags().BoolVar(&u.consumer, "consumer", false, "what a consumer needs: read and describe topics, and read groups")
}

func (u *aclUses) any() bool { return u.producer || u.consumer }

// check says what is missing for the uses, or contradicts them.
func (u *aclUses) check(cmd *cobra.Command, s *aclSelection) error {
	switch {
	case len(s.operations) > 0 || s.cluster || len(s.deny) > 0:
		return badUsage(cmd, "--producer and --consumer say themselves what is allowed: leave out --operation, --cluster and --deny-principal")
	case len(s.allow) == 0:
		return badUsage(cmd, "say whom it is about: --allow-principal User:NAME")
	case len(s.hosts) == 0:
		return badUsage(cmd, "--host is empty; * is any host")
	case len(s.topics) == 0:
		return badUsage(cmd, "say which topics: --topic NAME, or --topic '*'")
	case u.consumer && len(s.groups) == 0:
		return badUsage(cmd, "say which groups the consumer is in: --group NAME, or --group '*'")
	case !u.consumer && len(s.groups) > 0:
		return badUsage(cmd, "a producer is in no group: leave out --group")
	case !u.producer && len(s.txnIDs) > 0:
		return badUsage(cmd, "a consumer has no transactional id: leave out --transactional-id")
	}
	return nil
}

// filters are the ACLs that the uses need, or those of the selection alone where there
// are none.
func (u *aclUses) filters(cmd *cobra.Command, s *aclSelection) (all []aclFilter, err error) {
	if !u.any() {
		return s.filters(cmd)
	}
	for _, need := range u.needs(s) {
		if len(need.resources()) == 0 {
			continue
		}
		need.pattern, need.allow, need.hosts = s.pattern, s.allow, s.hosts
		filters, err := need.filters(cmd)
		if err != nil {
			return nil, err
		}
		all = append(all, filters...)
	}
	return all, nil
}

// needs are what is to be done to which resources.
func (u *aclUses) needs(s *aclSelection) (all []aclSelection) {
	var topics []string
	if u.producer {
		topics = append(topics, "write", "create")
		all = append(all, aclSelection{txnIDs: s.txnIDs, operations: []string{"write", "describe"}})
	}
	if u.consumer {
		topics = append(topics, "read")
		all = append(all, aclSelection{groups: s.groups, operations: []string{"read"}})
	}
	return slices.Insert(all, 0, aclSelection{topics: s.topics, operations: append(topics, "describe")})
}
