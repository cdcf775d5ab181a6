package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/cluster/decommission"
	"github.com/klamm-io/klamm/cluster/health"
	"github.com/klamm-io/klamm/internal/quantity"
)

// decommissionOptions are those of `klamm broker decommission`.
type decommissionOptions struct {
	throttle string
	rate     int64 // what it says, in bytes a second; 0: none
	atOnce   int
	watch    bool
	dryRun   bool
	output   *outputFormat
}

func newBrokerDecommissionCommand(env *environment) *cobra.Command {
	var o decommissionOptions
	cmd := &cobra.Command{
		Use:   "decommission BROKER…",
		Short: "Move all that brokers hold to others, so that they can be stopped",
		Long: `Move all that brokers hold to others, so that they can be stopped for good. Each
replica goes to a broker that is up, has room for it and holds least, to another
rack where there is one.

The cluster carries the moves out by itself. To run the command again begins what
is still to begin and says how far it is; with --watch it stays until nothing is
left. Partitions that cannot move are named, with the reason. At the end it says
how to stop the brokers and make the cluster forget them.

A broker that is dead is decommissioned in the same way: the other replicas are
copied from.`,
		Example: `  klamm broker decommission 4 --dry-run
  klamm broker decommission 4 --watch
  klamm broker decommission 4 --throttle 20MB --at-once 50 --watch`,
		Args:              arguments(1, -1),
		ValidArgsFunction: env.completeBrokers(-1),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.throttle, "throttle", "", "let each broker copy at most this `RATE` a second, as 20MB; taken away at the end")
	flags.IntVar(&o.atOnce, "at-once", 0, "how many partitions may be on their way at a time; 0 is all")
	flags.BoolVarP(&o.watch, "watch", "w", false, "stay until nothing is left, and show how far it is")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only list where the partitions would go")
	o.output = addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		leaving, err := brokerIDs(cmd, args)
		if err != nil {
			return err
		}
		if err := o.check(cmd); err != nil {
			return err
		}
		return env.withClient(cmd.Context(), func(client *kgo.Client) error {
			d := newDecommissioning(env, client, leaving, o)
			if o.dryRun {
				return d.preview(cmd.Context())
			}
			return d.run(cmd.Context())
		})
	}
	return cmd
}

func (o *decommissionOptions) check(cmd *cobra.Command) (err error) {
	if o.throttle != "" {
		if o.rate, err = parseRate(o.throttle); err != nil {
			return badUsage(cmd, "--throttle %s: %v", o.throttle, err)
		}
	}
	switch {
	case o.atOnce < 0:
		return badUsage(cmd, "--at-once is 0 or more")
	case o.atOnce == 0:
		o.atOnce = math.MaxInt32
	}
	if o.dryRun && o.watch {
		return badUsage(cmd, "pass either --dry-run or --watch")
	}
	if !o.dryRun && *o.output != "table" {
		return badUsage(cmd, "--output goes with --dry-run")
	}
	return nil
}

// brokerIDs reads ids from the command line.
func brokerIDs(cmd *cobra.Command, args []string) (ids []int32, err error) {
	for _, text := range args {
		id, err := brokerID(cmd, text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// plannedMove is one row of `klamm broker decommission --dry-run`.
type plannedMove struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	From      []int32 `json:"from"`
	To        []int32 `json:"to"`    // empty: it cannot move
	Stuck     string  `json:"stuck"` // why it cannot
}

// preview lists what would move, and what cannot.
func (d *decommissioning) preview(ctx context.Context) error {
	f, err := d.look(ctx)
	if err != nil {
		return err
	}
	plan := decommission.Make(f, d.leaving, math.MaxInt32)
	t, rows := newTable("TOPIC", "PARTITION", "FROM", "TO"), []plannedMove{}
	for _, m := range plan.Next {
		rows = append(rows, plannedMove{m.Topic, m.Partition, partitionOf(f, m.Topic, m.Partition).Target(), m.Replicas, ""})
	}
	for _, s := range plan.Stuck {
		rows = append(rows, plannedMove{s.Topic, s.Partition, partitionOf(f, s.Topic, s.Partition).Target(), []int32{}, s.Why})
	}
	for _, r := range rows {
		to := cellText(r.To)
		if r.Stuck != "" {
			to = "stuck: " + r.Stuck
		}
		t.add(r.Topic, r.Partition, r.From, to)
	}
	if err := d.env.show(*d.options.output, t, rows); err != nil {
		return err
	}
	d.env.note("Nothing was changed. It would copy about %s.", quantity.Bytes(float64(plan.Bytes)))
	return nil
}

// look asks for what a plan is made from, and makes sure that the brokers are there.
func (d *decommissioning) look(ctx context.Context) (*health.Facts, error) {
	f, err := gatherMoves(ctx, d.client, askLogDirs, askQuorum)
	if err != nil {
		return nil, err
	}
	for _, id := range d.leaving {
		if f.Broker(id) == nil && !holdsReplicas(f, id) {
			return nil, unknownBroker(f, id)
		}
	}
	return f, nil
}

func holdsReplicas(f *health.Facts, id int32) bool {
	return slices.ContainsFunc(f.Partitions, func(p health.Partition) bool { return slices.Contains(p.Replicas, id) })
}

func newBrokerUndecommissionCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "undecommission BROKER…",
		Short: "Let brokers keep what they still hold",
		Long: `Take back what "klamm broker decommission" began: the moves away from the brokers
that are under way, and what keeps new partitions from them. What has left them
already stays where it is: "klamm partition move" brings it back.`,
		Example:           `  klamm broker undecommission 4`,
		Args:              arguments(1, -1),
		ValidArgsFunction: env.completeBrokers(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := brokerIDs(cmd, args)
			if err != nil {
				return err
			}
			return env.withClient(cmd.Context(), func(client *kgo.Client) error {
				return newDecommissioning(env, client, ids, decommissionOptions{}).takeBack(cmd.Context())
			})
		},
	}
}

func newDecommissioning(env *environment, client *kgo.Client, leaving []int32, o decommissionOptions) *decommissioning {
	admin := kadm.NewClient(client)
	return &decommissioning{
		env: env, client: client, admin: admin, leaving: leaving, options: o, pause: watchInterval,
		throttle: &throttle{admin: admin, rate: o.rate, set: map[string]bool{}, patience: askTimeout},
	}
}

// brokersText writes "broker 4" or "brokers 4 and 5".
func brokersText(ids []int32) string {
	if len(ids) == 1 {
		return fmt.Sprintf("broker %d", ids[0])
	}
	return "brokers " + joinInts(ids)
}
