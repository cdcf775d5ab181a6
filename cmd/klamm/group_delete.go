package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func newGroupDeleteCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:               "delete GROUP…",
		Short:             "Delete groups that have no members, and their offsets",
		Args:              arguments(1, -1),
		ValidArgsFunction: env.completeGroups(-1),
		RunE: func(cmd *cobra.Command, groups []string) error {
			return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
				return env.deleteGroups(cmd.Context(), admin, groups)
			})
		},
	}
}

func (e *environment) deleteGroups(ctx context.Context, admin *kadm.Client, groups []string) error {
	responses, err := admin.DeleteGroups(ctx, groups...)
	if err != nil {
		return fmt.Errorf("delete groups: %s", reason(err, ""))
	}
	var failed failures
	for _, group := range groups {
		r := responses[group]
		switch {
		case r.Err == nil:
			fmt.Fprintf(e.out, "group %s deleted\n", group)
		case errors.Is(r.Err, kerr.GroupIDNotFound):
			failed.add("%w", unknownGroup(ctx, admin, group))
		case errors.Is(r.Err, kerr.NonEmptyGroup):
			failed.add("group %s has members: stop them first. See `klamm group describe %s`", group, group)
		default:
			failed.add("delete group %s: %s", group, reason(r.Err, ""))
		}
	}
	return failed.err()
}
