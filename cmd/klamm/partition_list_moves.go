package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/cluster/health"
	"github.com/klamm-io/klamm/internal/quantity"
)

// listedMove is one row of `klamm partition list-moves`.
type listedMove struct {
	Topic            string  `json:"topic"`
	Partition        int32   `json:"partition"`
	TargetReplicas   []int32 `json:"target_replicas"`
	AddingReplicas   []int32 `json:"adding_replicas"`
	RemovingReplicas []int32 `json:"removing_replicas"`
	BytesToCopy      *int64  `json:"bytes_to_copy"` // about; null where the leader does not tell its size
	WaitsFor         string  `json:"waits_for"`     // what keeps it from going on; empty where nothing does
}

func newPartitionListMovesCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list-moves",
		Short: "List the partitions that are on their way to other brokers",
		Long: `List the partitions that are on their way to other brokers, with how much there is
left to copy, about, and what they wait for where they cannot go on.`,
		Args: arguments(0, 0),
	}
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return env.withClient(cmd.Context(), func(client *kgo.Client) error {
			moves, err := listMoves(cmd.Context(), client)
			if err != nil {
				return err
			}
			return env.show(*output, moveTable(moves), moves)
		})
	}
	return cmd
}

func listMoves(ctx context.Context, client *kgo.Client) ([]listedMove, error) {
	f, err := gatherMoves(ctx, client, askLogDirs)
	if err != nil {
		return nil, err
	}
	moves := []listedMove{}
	for i := range f.Partitions {
		p := &f.Partitions[i]
		if !p.Moving() {
			continue
		}
		move := listedMove{
			Topic: p.Topic, Partition: p.Partition, TargetReplicas: orEmpty(p.Target()),
			AddingReplicas: orEmpty(p.Adding), RemovingReplicas: orEmpty(p.Removing), WaitsFor: waitsFor(f, p),
		}
		if _, known := p.Sizes[p.Leader]; known {
			bytes := p.ToCopy()
			move.BytesToCopy = &bytes
		}
		moves = append(moves, move)
	}
	return moves, nil
}

// gatherMoves asks for the moves under way before it asks for the rest, and fails where
// they are not told: a move that ends in between shows as under way still, and not as
// a partition that has too many replicas.
func gatherMoves(ctx context.Context, client *kgo.Client, questions ...question) (*health.Facts, error) {
	apply, err := moving(ctx, client, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %s", askMoves.about, why(err))
	}
	f, err := gather(ctx, client, questions...)
	if err != nil {
		return nil, err
	}
	apply(f)
	return f, nil
}

// waitsFor says what keeps a move from going on.
func waitsFor(f *health.Facts, p *health.Partition) string {
	if p.Leader < 0 && len(p.Adding) > 0 {
		return "a leader"
	}
	for _, id := range p.Adding {
		if b := f.Broker(id); b == nil || b.Fenced {
			return fmt.Sprintf("broker %d, which is down", id)
		}
	}
	return ""
}

func moveTable(moves []listedMove) *table {
	t := newTable("TOPIC", "PARTITION", "TARGET", "ADDING", "REMOVING", "TO-COPY", "WAITS-FOR")
	for _, m := range moves {
		bytes := ""
		if m.BytesToCopy != nil {
			bytes = quantity.Bytes(float64(*m.BytesToCopy))
		}
		t.add(m.Topic, m.Partition, m.TargetReplicas, m.AddingReplicas, m.RemovingReplicas, bytes, m.WaitsFor)
	}
	return t
}
