package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm-io/klamm/internal/quantity"
)

func newConfigDescribeCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe topic NAME | broker [ID]",
		Short: "Show the configs of a topic, of a broker, or of all brokers",
		Long: `Show the configs of a topic, of a broker, or, without an ID, those that were set
for all brokers. Defaults are left out unless --all is given.`,
		Example: `  klamm config describe topic flights
  klamm config describe broker 1 --all`,
		Args:              arguments(1, 2),
		ValidArgsFunction: env.completeConfigTarget,
	}
	all := cmd.Flags().Bool("all", false, "show defaults too")
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, err := parseConfigTarget(cmd, args)
		if err != nil {
			return err
		}
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			configs, err := target.describe(cmd.Context(), admin)
			if err != nil {
				return err
			}
			return env.showConfigs(target, configs, *all, *output)
		})
	}
	return cmd
}

func (t configTarget) describe(ctx context.Context, admin *kadm.Client) ([]kadm.Config, error) {
	var found kadm.ResourceConfigs
	var err error
	if t.kind == kindTopic {
		found, err = admin.DescribeTopicConfigs(ctx, t.name)
	} else {
		found, err = admin.DescribeBrokerConfigs(ctx, t.broker...)
	}
	if err != nil {
		return nil, t.failure(ctx, admin, "describe", err, "")
	}
	if len(found) == 0 {
		return nil, nil
	}
	if r := found[0]; r.Err != nil {
		return nil, t.failure(ctx, admin, "describe", r.Err, r.ErrMessage)
	}
	return found[0].Configs, nil
}

func (e *environment) showConfigs(target configTarget, configs []kadm.Config, all bool, output outputFormat) error {
	shown := chosenConfigs(configs)
	if all {
		shown = describedConfigs(configs)
	}
	t := newTable("NAME", "VALUE", "SOURCE")
	for _, c := range shown {
		t.add(c.Name, c.text(), c.Source)
	}
	if err := e.show(output, t, shown); err != nil {
		return err
	}
	if left := len(configs) - len(shown); left > 0 && output == "table" {
		e.note("%s of %s left out: --all shows them.", quantity.Counted(int64(left), "default", "defaults"), target)
	}
	return nil
}
