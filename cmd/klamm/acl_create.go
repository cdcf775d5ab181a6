package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newACLCreateCommand(env *environment) *cobra.Command {
	var selection aclSelection
	var uses aclUses
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Allow or deny principals something",
		Long: `Allow or deny principals something, by an ACL for each combination of what the
flags name. One that exists already stays.

With --producer and --consumer the principals get what these need of the topics,
groups and transactional ids that are named, and no operation is to be said.`,
		Example: `  klamm acl create --allow-principal User:alice --operation read,write --topic orders
  klamm acl create --allow-principal User:board --operation read --topic flights- --group board --resource-pattern-type prefixed
  klamm acl create --allow-principal User:alice --producer --topic orders
  klamm acl create --allow-principal User:board --consumer --topic orders --group board
  klamm acl create --deny-principal 'User:*' --host 10.0.0.7 --operation all --cluster`,
		Args: arguments(0, 0),
	}
	selection.addFlags(env, cmd, "literal", "literal, prefixed")
	cmd.Flags().StringSliceVar(&selection.hosts, "host", []string{"*"}, "IP addresses, as `HOST`, from which the principals connect; * is any")
	uses.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case uses.any():
			if err := uses.check(cmd, &selection); err != nil {
				return err
			}
		case len(selection.resources()) == 0:
			return badUsage(cmd, "say what it is about: --topic, --group, --transactional-id or --cluster")
		case len(selection.allow)+len(selection.deny) == 0:
			return badUsage(cmd, "say whom it is about: --allow-principal User:NAME or --deny-principal User:NAME")
		case len(selection.operations) == 0:
			return badUsage(cmd, "say what it is about: --operation read, or another; all is every one")
		case len(selection.hosts) == 0:
			return badUsage(cmd, "--host is empty; * is any host")
		}
		all, err := uses.filters(cmd, &selection)
		if err != nil {
			return err
		}
		if p := all[0].ResourcePatternType; p != kmsg.ACLResourcePatternTypeLiteral && p != kmsg.ACLResourcePatternTypePrefixed {
			return badUsage(cmd, "--resource-pattern-type %s: it is one of literal, prefixed", selection.pattern)
		}
		return env.withClient(cmd.Context(), func(client *kgo.Client) error { return env.createACLs(cmd.Context(), client, all) })
	}
	return cmd
}

// createACLs creates ACLs, which are filters that name everything.
func (e *environment) createACLs(ctx context.Context, client *kgo.Client, all []aclFilter) error {
	req := kmsg.NewPtrCreateACLsRequest()
	for _, f := range all {
		c := kmsg.NewCreateACLsRequestCreation()
		c.ResourceType, c.ResourceName, c.ResourcePatternType = f.ResourceType, *f.ResourceName, f.ResourcePatternType
		c.Principal, c.Host, c.Operation, c.PermissionType = *f.Principal, *f.Host, f.Operation, f.PermissionType
		req.Creations = append(req.Creations, c)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return aclTrouble("create", err, nil)
	}
	var failed failures
	for i, told := range resp.Results {
		if i >= len(req.Creations) {
			break
		}
		c := &req.Creations[i]
		a := acl{c.ResourceType.String(), c.ResourceName, c.ResourcePatternType.String(), c.Principal, c.Host, operationWord(c.Operation), c.PermissionType.String()}
		if err := kerr.ErrorForCode(told.ErrorCode); err != nil {
			failed.add("%s: %w", a, aclTrouble("create", err, told.ErrorMessage))
			continue
		}
		fmt.Fprintf(e.out, "created: %s\n", a)
	}
	return failed.err()
}
