package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newQuotaDeleteCommand(env *environment) *cobra.Command {
	var entity quotaEntity
	cmd := &cobra.Command{
		Use:   "delete [QUOTA...]",
		Short: "Delete quotas of a user, a client id, both, or an address",
		Long: `Delete quotas of a user, a client id, both, or an address: those that are named,
or all that it has.`,
		Example: `  klamm quota delete --for-user alice
  klamm quota delete --client-defaults request_percentage`,
		Args:              arguments(0, -1),
		ValidArgsFunction: cobra.FixedCompletions(quotaKeyNames(""), cobra.ShellCompDirectiveNoFileComp),
	}
	entity.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		parts, err := entity.named(cmd)
		if err != nil {
			return err
		}
		return env.withClient(cmd.Context(), func(client *kgo.Client) error {
			found, err := findQuotas(cmd.Context(), client, parts, true)
			if err != nil {
				return err
			}
			if len(args) > 0 {
				found = slices.DeleteFunc(found, func(q quotaRow) bool { return !slices.Contains(args, q.Quota) })
			}
			if len(found) == 0 {
				return errors.New("there is no such quota. See `klamm quota list`")
			}
			var ops []kmsg.AlterClientQuotasRequestEntryOp
			for _, q := range found {
				ops = append(ops, kmsg.AlterClientQuotasRequestEntryOp{Key: q.Quota, Remove: true})
			}
			if err := alterQuotas(cmd.Context(), client, parts, ops); err != nil {
				return fmt.Errorf("delete quotas: %w", err)
			}
			for _, q := range found {
				fmt.Fprintf(env.out, "deleted: %s\n", q)
			}
			return nil
		})
	}
	return cmd
}
