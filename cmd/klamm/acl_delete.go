package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newACLDeleteCommand(env *environment) *cobra.Command {
	var selection aclSelection
	var all, dryRun bool
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Delete the ACLs that are named",
		Long: `Delete the ACLs that have what the flags name: without --operation of every
operation, without --host on every host, and so on. --dry-run lists them.`,
		Example: `  klamm acl delete --allow-principal User:alice --dry-run
  klamm acl delete --topic orders --operation write`,
		Args: arguments(0, 0),
	}
	selection.addFlags(env, cmd, "any", "any, match, literal, prefixed")
	flags := cmd.Flags()
	flags.StringSliceVar(&selection.hosts, "host", nil, "about principals on these `HOST`s")
	flags.BoolVar(&all, "all", false, "every ACL of the cluster, where no flag names any")
	flags.BoolVar(&dryRun, "dry-run", false, "only list what would be deleted")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filters, err := selection.filters(cmd)
		if err != nil {
			return err
		}
		names := len(selection.resources()) + len(selection.allow) + len(selection.deny) + len(selection.hosts) + len(selection.operations)
		if all != (names == 0) {
			return badUsage(cmd, "say which ACLs, by --topic, --allow-principal or others, or pass --all and nothing else")
		}
		return env.withClient(cmd.Context(), func(client *kgo.Client) error {
			remove, done := removeACLs, "deleted"
			if dryRun {
				remove, done = findACLs, "would be deleted"
			}
			found, err := remove(cmd.Context(), client, filters)
			for _, a := range found {
				fmt.Fprintf(env.out, "%s: %s\n", done, a)
			}
			if err == nil && len(found) == 0 {
				err = errors.New("there is no such ACL. See `klamm acl list`")
			}
			return err
		})
	}
	return cmd
}

// removeACLs deletes what any of the filters picks, and returns it, sorted.
func removeACLs(ctx context.Context, client *kgo.Client, filters []aclFilter) ([]acl, error) {
	req := kmsg.NewPtrDeleteACLsRequest()
	req.Filters = filters
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, aclTrouble("delete", err, nil)
	}
	var removed []acl
	var failed failures
	for _, told := range resp.Results {
		if err := kerr.ErrorForCode(told.ErrorCode); err != nil {
			failed.add("%w", aclTrouble("delete", err, told.ErrorMessage))
		}
		for _, m := range told.MatchingACLs {
			a := acl{m.ResourceType.String(), m.ResourceName, m.ResourcePatternType.String(), m.Principal, m.Host, operationWord(m.Operation), m.PermissionType.String()}
			if err := kerr.ErrorForCode(m.ErrorCode); err != nil {
				failed.add("%s: %w", a, aclTrouble("delete", err, m.ErrorMessage))
				continue
			}
			removed = append(removed, a)
		}
	}
	slices.SortFunc(removed, compareACLs)
	return slices.Compact(removed), failed.err()
}
