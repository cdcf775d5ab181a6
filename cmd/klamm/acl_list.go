package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newACLListCommand(env *environment) *cobra.Command {
	var selection aclSelection
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List ACLs, all or those that are named",
		Long: `List ACLs, all or those that have what the flags name. With the pattern type
match the names are of resources, and every ACL is listed that is about them: by
their name, by the beginning of it, or about all.`,
		Example: `  klamm acl list
  klamm acl list --topic orders --resource-pattern-type match`,
		Args: arguments(0, 0),
	}
	selection.addFlags(env, cmd, "any", "any, match, literal, prefixed")
	cmd.Flags().StringSliceVar(&selection.hosts, "host", nil, "about principals on these `HOST`s")
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filters, err := selection.filters(cmd)
		if err != nil {
			return err
		}
		return env.withClient(cmd.Context(), func(client *kgo.Client) error {
			found, err := findACLs(cmd.Context(), client, filters)
			if err != nil {
				return err
			}
			t := newTable("TYPE", "NAME", "PATTERN", "PRINCIPAL", "HOST", "OPERATION", "PERMISSION")
			for _, a := range found {
				t.add(a.Type, a.Name, a.Pattern, a.Principal, a.Host, a.Operation, a.Permission)
			}
			return env.show(*output, t, found)
		})
	}
	return cmd
}

// findACLs returns what any of the filters picks, sorted.
func findACLs(ctx context.Context, client *kgo.Client, filters []aclFilter) ([]acl, error) {
	found := []acl{}
	for _, f := range filters {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.ResourceType, req.ResourceName, req.ResourcePatternType = f.ResourceType, f.ResourceName, f.ResourcePatternType
		req.Principal, req.Host, req.Operation, req.PermissionType = f.Principal, f.Host, f.Operation, f.PermissionType
		resp, err := req.RequestWith(ctx, client)
		if err != nil {
			return nil, aclTrouble("list", err, nil)
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return nil, aclTrouble("list", err, resp.ErrorMessage)
		}
		for _, r := range resp.Resources {
			for _, a := range r.ACLs {
				found = append(found, acl{r.ResourceType.String(), r.ResourceName, r.ResourcePatternType.String(), a.Principal, a.Host, operationWord(a.Operation), a.PermissionType.String()})
			}
		}
	}
	slices.SortFunc(found, compareACLs)
	return slices.Compact(found), nil
}
