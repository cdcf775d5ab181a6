package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newQuotaSetCommand(env *environment) *cobra.Command {
	var entity quotaEntity
	cmd := &cobra.Command{
		Use:   "set QUOTA=VALUE...",
		Short: "Set quotas of a user, a client id, both, or an address",
		Long:  "Set quotas of a user, a client id, both, or an address. There are:\n" + quotaHelp(),
		Example: `  klamm quota set --for-user alice producer_byte_rate=1048576 consumer_byte_rate=2097152
  klamm quota set --client-defaults request_percentage=50
  klamm quota set --for-ip 10.0.0.7 connection_creation_rate=10`,
		Args:              arguments(1, -1),
		ValidArgsFunction: cobra.FixedCompletions(quotaKeyNames("="), cobra.ShellCompDirectiveNoSpace|cobra.ShellCompDirectiveNoFileComp),
	}
	entity.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		parts, err := entity.named(cmd)
		if err != nil {
			return err
		}
		var ops []kmsg.AlterClientQuotasRequestEntryOp
		for _, arg := range args {
			key, text, _ := strings.Cut(arg, "=")
			value, err := strconv.ParseFloat(text, 64)
			if err != nil || value <= 0 {
				return badUsage(cmd, "%s: a quota is set as producer_byte_rate=1048576, to more than 0", arg)
			}
			ops = append(ops, kmsg.AlterClientQuotasRequestEntryOp{Key: key, Value: value})
		}
		return env.withClient(cmd.Context(), func(client *kgo.Client) error {
			if err := alterQuotas(cmd.Context(), client, parts, ops); err != nil {
				return fmt.Errorf("set quotas: %w", err)
			}
			for _, op := range ops {
				fmt.Fprintf(env.out, "set: %s to %s\n", rowOf(parts, op.Key, op.Value), quotaNumber(op.Value))
			}
			return nil
		})
	}
	return cmd
}

func quotaKeyNames(ending string) (names []string) {
	for _, k := range quotaKeys {
		names = append(names, k.key+ending)
	}
	return names
}

// alterQuotas sets or takes back quotas of one entity: all of them or none.
func alterQuotas(ctx context.Context, client *kgo.Client, parts []quotaPart, ops []kmsg.AlterClientQuotasRequestEntryOp) error {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.Entries = []kmsg.AlterClientQuotasRequestEntry{{Entity: alteredEntity(parts), Ops: ops}}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return errors.New(reason(err, ""))
	}
	for _, told := range resp.Entries {
		if err := kerr.ErrorForCode(told.ErrorCode); err != nil {
			return errors.New(reason(err, orBlank(told.ErrorMessage)))
		}
	}
	return nil
}
