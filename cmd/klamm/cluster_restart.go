package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm-io/klamm/cluster/health"
)

// restartOptions are those of `klamm cluster restart`.
type restartOptions struct {
	nodes       []string // ID=COMMAND
	timeout     time.Duration
	unavailable bool
	dryRun      bool
	output      *outputFormat
}

// nodeCommand is how a node is restarted.
type nodeCommand struct {
	id      int32
	command string
}

func newClusterRestartCommand(env *environment) *cobra.Command {
	var o restartOptions
	cmd := &cobra.Command{
		Use:   "restart",
		Short: "Restart nodes one after the other, while the cluster goes on",
		Long: `Restart nodes one after the other, while the cluster goes on. For each node it

  1. waits until the cluster can do without it: no partition would have less than
     min.insync.replicas in sync, and a majority of the controllers is left;
  2. runs the command that you give for it, by the shell of this machine;
  3. waits until the node was down, is back, and all its replicas are in sync.

The active controller comes last. It stops with a sentence where a command fails
or a node does not become well again; the nodes after it are left as they are.

Partitions of which each replica is needed (one replica, or min.insync.replicas as
many as there are) cannot be written while their nodes restart: it asks for
--allow-unavailable where there are any.`,
		Example: `  klamm cluster restart --node '1=ssh node1 sudo systemctl restart klamm' --node '2=ssh node2 sudo systemctl restart klamm'
  klamm cluster restart --node '3=docker restart klamm3' --timeout 30m`,
		Args: arguments(0, 0),
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.nodes, "node", nil, "a node and the command that restarts it, `ID=COMMAND`; may be repeated")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long to wait for the cluster before a node, and for the node after its restart")
	flags.BoolVar(&o.unavailable, "allow-unavailable", false, "also where something cannot be written while a node is away")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only say what is in the way of each node")
	o.output = addOutputFlag(cmd)
	must(cmd.RegisterFlagCompletionFunc("node", env.completeNodes))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		nodes, err := o.parse(cmd)
		if err != nil {
			return err
		}
		client, err := env.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer client.Close()
		r := &rollingRestart{
			env: env, options: o, left: nodes, pause: time.Second, unwatched: 15 * time.Second, run: env.runCommand,
			look: func(ctx context.Context) (*health.Facts, error) {
				return gather(ctx, client, askMinISR, askLogDirs, askQuorum)
			},
		}
		if o.dryRun {
			return r.preview(cmd.Context())
		}
		return r.restartAll(cmd.Context())
	}
	return cmd
}

func (o *restartOptions) parse(cmd *cobra.Command) (nodes []nodeCommand, err error) {
	for _, text := range o.nodes {
		number, command, found := strings.Cut(text, "=")
		id, err := strconv.ParseInt(number, 10, 32)
		switch {
		case !found || strings.TrimSpace(command) == "" || err != nil || id < 0:
			return nil, badUsage(cmd, "--node %s: it is written ID=COMMAND, as in --node '1=ssh node1 systemctl restart klamm'", text)
		case slices.ContainsFunc(nodes, func(n nodeCommand) bool { return n.id == int32(id) }):
			return nil, badUsage(cmd, "--node %d is there twice", id)
		}
		nodes = append(nodes, nodeCommand{int32(id), command})
	}
	if len(nodes) == 0 {
		return nil, badUsage(cmd, "name the nodes and how each is restarted: --node ID=COMMAND")
	}
	switch {
	case o.timeout <= 0:
		return nil, badUsage(cmd, "--timeout is more than nothing, as 10m")
	case !o.dryRun && *o.output != "table":
		return nil, badUsage(cmd, "--output goes with --dry-run")
	}
	return nodes, nil
}

// completeNodes offers the ids of brokers with what stands between one and its
// command.
func (e *environment) completeNodes(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	names, directive := e.offer(cmd.Context(), brokerNames)
	for i := range names {
		names[i] += "="
	}
	return names, directive | cobra.ShellCompDirectiveNoSpace
}

// runCommand runs a command line by the shell. What it says goes to standard error.
func (e *environment) runCommand(ctx context.Context, command string) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stdout, cmd.Stderr = e.errOut, e.errOut
	return cmd.Run()
}

// restartable is one row of `klamm cluster restart --dry-run`, in the order in which
// the nodes would be restarted.
type restartable struct {
	Node     int32    `json:"node"`
	Lacks    string   `json:"lacks"` // what keeps it from being well; empty: nothing
	InTheWay []string `json:"in_the_way"`
}

// preview says what is in the way of each node now.
func (r *rollingRestart) preview(ctx context.Context) error {
	f, err := r.look(ctx)
	if err != nil {
		return err
	}
	t, rows := newTable("NODE", "STATE", "IN-THE-WAY"), []restartable{}
	for len(r.left) > 0 {
		id := r.next(f).id
		row := restartable{id, f.Lacks(id), append([]string{}, r.inTheWay(f, id)...)}
		rows = append(rows, row)
		state := row.Lacks
		if state == "" {
			state = "well"
		}
		t.add(id, state, strings.Join(row.InTheWay, "; "))
	}
	return r.env.show(*r.options.output, t, rows)
}

// inTheWay is all that keeps a node from being restarted.
func (r *rollingRestart) inTheWay(f *health.Facts, id int32) []string {
	loss := f.Losing(id)
	reasons := loss.Now
	if why := unavailableWithout(id, loss); why != "" && !r.options.unavailable {
		reasons = append(reasons, why)
	}
	return reasons
}

// unavailableWithout says what cannot be had while a node is away, however well all
// others are.
func unavailableWithout(id int32, loss health.Loss) string {
	var whys []string
	if len(loss.Never) > 0 {
		whys = append(whys, fmt.Sprintf("%s, one of them on node %d: %s", needAll(len(loss.Never)), id, fewNames(loss.Never)))
	}
	if loss.Quorum != "" {
		whys = append(whys, loss.Quorum)
	}
	return strings.Join(whys, "; ")
}

func needAll(partitions int) string {
	if partitions == 1 {
		return "1 partition needs each of its replicas"
	}
	return fmt.Sprintf("%d partitions need each of their replicas", partitions)
}
