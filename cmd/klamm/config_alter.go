package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newConfigAlterCommand(env *environment) *cobra.Command {
	var configs settings
	cmd := &cobra.Command{
		Use:   "alter topic NAME | broker [ID]",
		Short: "Set or delete configs of a topic, of a broker, or of all brokers",
		Long: `Set configs of a topic, of a broker, or, without an ID, of all brokers, or delete
them so that their defaults hold again. Others stay as they are.`,
		Example: `  klamm config alter topic flights --set retention.ms=3600000
  klamm config alter broker 1 --delete log.cleaner.threads`,
		Args:              arguments(1, 2),
		ValidArgsFunction: env.completeConfigTarget,
	}
	dryRun := cmd.Flags().Bool("dry-run", false, "only check whether it could be done")
	configs.addFlags(cmd, true)
	configs.completeKeys(env, cmd, func(args []string) configTarget {
		target, _ := parseConfigTarget(cmd, append(args, "", "")[:2])
		return target
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, err := parseConfigTarget(cmd, args)
		if err != nil {
			return err
		}
		if configs.empty() {
			return badUsage(cmd, "nothing to alter: pass --set or --delete")
		}
		changes, err := configs.changes(cmd)
		if err != nil {
			return err
		}
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			if err := target.alter(cmd.Context(), admin, changes, *dryRun); err != nil {
				return err
			}
			fmt.Fprintf(env.out, "configs of %s %s\n", target, changedWords(*dryRun))
			return nil
		})
	}
	return cmd
}

func changedWords(dryRun bool) string {
	if dryRun {
		return "could be changed"
	}
	return "changed"
}

func (t configTarget) alter(ctx context.Context, admin *kadm.Client, changes []kadm.AlterConfig, dryRun bool) error {
	responses, err := t.request(ctx, admin, changes, dryRun)
	if err != nil {
		return t.failure(ctx, admin, "alter", err, "")
	}
	for _, r := range responses {
		if r.Err != nil {
			return t.failure(ctx, admin, "alter", r.Err, r.ErrMessage)
		}
	}
	return nil
}

func (t configTarget) request(ctx context.Context, admin *kadm.Client, changes []kadm.AlterConfig, dryRun bool) (kadm.AlterConfigsResponses, error) {
	switch {
	case t.kind == kindTopic && dryRun:
		return admin.ValidateAlterTopicConfigs(ctx, changes, t.name)
	case t.kind == kindTopic:
		return admin.AlterTopicConfigs(ctx, changes, t.name)
	case dryRun:
		return admin.ValidateAlterBrokerConfigs(ctx, changes, t.broker...)
	}
	return admin.AlterBrokerConfigs(ctx, changes, t.broker...)
}
