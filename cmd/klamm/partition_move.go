package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/cluster/health"
)

func newPartitionMoveCommand(env *environment) *cobra.Command {
	var tp topicPartition
	var to []int32
	cmd := &cobra.Command{
		Use:   "move",
		Short: "Move the replicas of a partition to other brokers",
		Long: `Move the replicas of a partition to other brokers. The first is the one that leads
where it can. With more brokers than before the partition gets more replicas, with
fewer it gets less.

New replicas first copy the log while the old ones stay; who leads and what is
acknowledged are not touched until they caught up.`,
		Example: `  klamm partition move --topic flights --partition 0 --to 2,3,4`,
		Args:    arguments(0, 0),
	}
	flags := cmd.Flags()
	flags.StringVarP(&tp.Topic, "topic", "t", "", "the `TOPIC`")
	flags.Int32VarP(&tp.Partition, "partition", "p", -1, "the `PARTITION` of it")
	flags.Int32SliceVar(&to, "to", nil, "the `BROKERS` that are to have it, as 1,2,3")
	must(cmd.RegisterFlagCompletionFunc("topic", env.completeTopics(-1)))
	must(cmd.RegisterFlagCompletionFunc("to", env.completeBrokers(-1)))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		sorted := slices.Sorted(slices.Values(to))
		switch {
		case tp.Topic == "" || tp.Partition < 0 || len(to) == 0:
			return badUsage(cmd, "name what to move, and where: --topic TOPIC --partition PARTITION --to 1,2,3")
		case len(slices.Compact(sorted)) < len(to):
			return badUsage(cmd, "--to %s: it names a broker twice", joinInts(to))
		}
		return env.withClient(cmd.Context(), func(client *kgo.Client) error {
			return env.movePartition(cmd.Context(), client, assignment{tp, to})
		})
	}
	return cmd
}

func (e *environment) movePartition(ctx context.Context, client *kgo.Client, wanted assignment) error {
	f, err := gather(ctx, client, askMoves)
	if err != nil {
		return err
	}
	p, err := e.movable(ctx, client, f, wanted)
	if err != nil {
		return err
	}
	if slices.Equal(p.Replicas, wanted.replicas) && !p.Moving() {
		fmt.Fprintf(e.out, "%s is on %s already\n", p, joinInts(wanted.replicas))
		return nil
	}
	from := p.Target()
	refused, err := assign(ctx, client, []assignment{wanted}, false)
	if err != nil {
		return fmt.Errorf("move %s: %s", p, why(err))
	}
	if r, found := refused[p.TopicPartition]; found {
		return fmt.Errorf("move %s: %s", p, r)
	}
	// The controller itself tells what is still to do: brokers hear of it a little later.
	apply, err := moving(ctx, client, f)
	if err != nil {
		return fmt.Errorf("ask how far %s is: %s", p, why(err))
	}
	p.Replicas, p.Adding, p.Removing = wanted.replicas, nil, nil
	apply(f)
	if !p.Moving() {
		fmt.Fprintf(e.out, "%s is on %s now\n", p, joinInts(wanted.replicas))
		return nil
	}
	fmt.Fprintf(e.out, "%s is on its way from %s to %s\n", p, joinInts(from), joinInts(wanted.replicas))
	e.note("See how far it is with `klamm partition list-moves`, or take it back with `klamm partition cancel --topic %s --partition %d`.", p.Topic, p.Partition)
	return nil
}

// movable finds the partition that is to move, and makes sure that the brokers can
// take it: a cluster begins moves that never end.
func (e *environment) movable(ctx context.Context, client *kgo.Client, f *health.Facts, wanted assignment) (*health.Partition, error) {
	p := partitionOf(f, wanted.Topic, wanted.Partition)
	if p == nil {
		return nil, e.unknownPartition(ctx, client, wanted.topicPartition)
	}
	for _, id := range wanted.replicas {
		b := f.Broker(id)
		switch {
		case b == nil:
			return nil, unknownBroker(f, id)
		case b.Fenced && !slices.Contains(p.Replicas, id):
			return nil, fmt.Errorf("broker %d is fenced and could not copy %s: start it first", id, p)
		}
	}
	return p, nil
}

// unknownPartition says that a topic or a partition does not exist.
func (e *environment) unknownPartition(ctx context.Context, client *kgo.Client, tp topicPartition) error {
	_, err := partitionsOf(ctx, kadm.NewClient(client), tp.Topic, []int32{tp.Partition})
	if err == nil {
		err = fmt.Errorf("%s has just been made: try again", tp)
	}
	return err
}
