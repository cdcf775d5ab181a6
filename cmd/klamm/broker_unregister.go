package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/health"
	"github.com/klamm-io/klamm/internal/quantity"
)

func newBrokerUnregisterCommand(env *environment) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "unregister BROKER",
		Short: "Let a cluster forget a broker that is gone for good",
		Long: `Let a cluster forget a broker that is gone for good. It must be stopped, and hold no
replica: "klamm broker decommission" moves them away. One that is started again
comes back as a new broker.`,
		Example:           `  klamm broker unregister 4`,
		Args:              arguments(1, 1),
		ValidArgsFunction: env.completeBrokers(1),
	}
	cmd.Flags().BoolVar(&force, "force", false, "also a broker that is up, or holds replicas")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := brokerID(cmd, args[0])
		if err != nil {
			return err
		}
		return env.withClient(cmd.Context(), func(client *kgo.Client) error {
			return env.unregister(cmd.Context(), client, id, force)
		})
	}
	return cmd
}

func (e *environment) unregister(ctx context.Context, client *kgo.Client, id int32, force bool) error {
	f, err := gather(ctx, client)
	if err != nil {
		return err
	}
	if err := forgettable(f, id); err != nil && !force {
		return err
	}
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = id
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("unregister broker %d: %s", id, why(err))
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return fmt.Errorf("unregister broker %d: %s", id, reason(err, textOf(resp.ErrorMessage)))
	}
	fmt.Fprintf(e.out, "broker %d unregistered\n", id)
	return nil
}

// forgettable says why a cluster should not forget a broker.
func forgettable(f *health.Facts, id int32) error {
	b := f.Broker(id)
	switch {
	case b == nil && f.FencedKnown:
		return unknownBroker(f, id)
	case b != nil && !b.Fenced:
		return fmt.Errorf("broker %d is up: stop it first", id)
	}
	holds := 0
	for i := range f.Partitions {
		if slices.Contains(f.Partitions[i].Replicas, id) {
			holds++
		}
	}
	if holds > 0 {
		return fmt.Errorf("%s on broker %d: move them with `klamm broker decommission %d` first", quantity.Counted(int64(holds), "replica is", "replicas are"), id, id)
	}
	return nil
}
