package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm-io/klamm/internal/quantity"
)

// topicAlteration is what `klamm topic alter` is asked for.
type topicAlteration struct {
	partitions int // 0: as they are
	changes    []kadm.AlterConfig
	dryRun     bool
}

func newTopicAlterCommand(env *environment) *cobra.Command {
	var alteration topicAlteration
	var configs settings
	cmd := &cobra.Command{
		Use:   "alter TOPIC…",
		Short: "Add partitions to topics, or change their configs",
		Example: `  klamm topic alter flights --partitions 8
  klamm topic alter flights --set retention.ms=3600000 --delete cleanup.policy`,
		Args:              arguments(1, -1),
		ValidArgsFunction: env.completeTopics(-1),
	}
	cmd.Flags().IntVarP(&alteration.partitions, "partitions", "p", 0, "grow to this number of partitions; keys then go to other partitions than before")
	cmd.Flags().BoolVar(&alteration.dryRun, "dry-run", false, "only check whether it could be done")
	configs.addFlags(cmd, true)
	configs.completeKeys(env, cmd, func(args []string) configTarget {
		return configTarget{kind: kindTopic, name: append(args, "")[0]}
	})
	cmd.RunE = func(cmd *cobra.Command, topics []string) (err error) {
		if configs.empty() && alteration.partitions == 0 {
			return badUsage(cmd, "nothing to alter: pass --partitions, --set or --delete")
		}
		if alteration.changes, err = configs.changes(cmd); err != nil {
			return err
		}
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			return alteration.alter(cmd.Context(), env, admin, topics)
		})
	}
	return cmd
}

// alter changes configs first: they are the part that can be taken back.
func (a *topicAlteration) alter(ctx context.Context, env *environment, admin *kadm.Client, topics []string) error {
	if len(a.changes) > 0 {
		if err := a.alterConfigs(ctx, env, admin, topics); err != nil {
			return err
		}
	}
	if a.partitions != 0 {
		return a.grow(ctx, env, admin, topics)
	}
	return nil
}

func (a *topicAlteration) alterConfigs(ctx context.Context, env *environment, admin *kadm.Client, topics []string) error {
	var failed failures
	for _, topic := range topics {
		target := configTarget{kind: kindTopic, name: topic}
		if err := target.alter(ctx, admin, a.changes, a.dryRun); err != nil {
			failed.add("%w", err)
			continue
		}
		fmt.Fprintf(env.out, "configs of %s %s\n", target, changedWords(a.dryRun))
	}
	return failed.err()
}

func (a *topicAlteration) grow(ctx context.Context, env *environment, admin *kadm.Client, topics []string) error {
	request, done := admin.UpdatePartitions, "now has"
	if a.dryRun {
		request, done = admin.ValidateUpdatePartitions, "could have"
	}
	responses, err := request(ctx, a.partitions, topics...)
	if err != nil {
		return fmt.Errorf("add partitions: %s", reason(err, ""))
	}
	var failed failures
	for _, topic := range topics {
		r := responses[topic]
		if r.Err != nil {
			failed.add("%w", topicFailure(ctx, admin, "add partitions to", topic, r.Err, r.ErrMessage))
			continue
		}
		fmt.Fprintf(env.out, "topic %s %s %s\n", topic, done, quantity.Counted(int64(a.partitions), "partition", "partitions"))
	}
	return failed.err()
}
