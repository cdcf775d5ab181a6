package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/internal/quantity"
)

func newPartitionCancelCommand(env *environment) *cobra.Command {
	var named partitionFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "cancel",
		Short: "Take back moves that are under way",
		Long: `Take back moves that are under way: the partitions stay with the replicas that they
had before. What is finished stays moved.`,
		Example: `  klamm partition cancel --topic flights --partition 0
  klamm partition cancel --all`,
		Args: arguments(0, 0),
	}
	named.add(env, cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all moves that are under way")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if all != named.none() {
			return badUsage(cmd, "pass either --topic or --all")
		}
		if err := named.check(cmd); err != nil {
			return err
		}
		return env.withClient(cmd.Context(), func(client *kgo.Client) error {
			return env.cancelNamed(cmd.Context(), client, &named)
		})
	}
	return cmd
}

func (e *environment) cancelNamed(ctx context.Context, client *kgo.Client, named *partitionFlags) error {
	f, err := gatherMoves(ctx, client)
	if err != nil {
		return err
	}
	if topic, partition, found := named.missing(f); found {
		return e.unknownPartition(ctx, client, topicPartition{Topic: topic, Partition: max(0, partition)})
	}
	var moves []assignment
	for i := range f.Partitions {
		if p := &f.Partitions[i]; p.Moving() && named.name(p.TopicPartition) {
			moves = append(moves, assignment{topicPartition: p.TopicPartition})
		}
	}
	return e.cancelMoves(ctx, client, moves)
}

// cancelMoves takes moves back, and says of how many.
func (e *environment) cancelMoves(ctx context.Context, client *kgo.Client, moves []assignment) error {
	refused, err := assign(ctx, client, moves, false)
	if err != nil {
		return fmt.Errorf("take moves back: %s", why(err))
	}
	var failed failures
	done := int64(0)
	for _, m := range moves {
		r, found := refused[m.topicPartition]
		switch {
		case !found:
			done++
		case errors.Is(r.err, kerr.NoReassignmentInProgress): // it came to its end meanwhile
		default:
			failed.add("take the move of %s back: %s", m.topicPartition, r)
		}
	}
	fmt.Fprintf(e.out, "%s taken back\n", quantity.Counted(done, "move", "moves"))
	return failed.err()
}
