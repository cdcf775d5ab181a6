package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/cluster/format"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/internal/processes"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

const (
	mostLocalNodes = 9
	// stopPatience is how long a node may take to hand over what it leads and to stop.
	stopPatience = time.Minute
	readyPoll    = 100 * time.Millisecond
)

func newClusterStartCommand(env *environment) *cobra.Command {
	var nodes, port int
	var dir string
	var sets []string
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run a cluster of several nodes on this machine",
		Long: `Run a cluster of several nodes on this machine, to try things out: each is a process of
its own, and can be killed and started again. What they log is forwarded with the
node's name in front. Ctrl-C stops them one after the other; a second one kills.

At the first start each node gets a file, such as klamm-cluster/node-1.properties, and
a folder, which is formatted. A file that is there counts as it is. Variables KLAMM_…
do not count, since they would for all nodes alike; --set does.

The first node is at port 9092, its controller at 9093, and its metrics and health are
at 9644; the ports of each further node are 100 higher.`,
		Example: `  klamm cluster start
  klamm cluster start --nodes 5 --dir /tmp/five --port 19092
  klamm serve --config klamm-cluster/node-2.properties`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := &localCluster{env: env, dir: dir, count: nodes, port: port, sets: sets, counted: cmd.Flags().Changed("nodes")}
			if nodes < 1 || nodes > mostLocalNodes || port < 1 || port > 60000 {
				return badUsage(cmd, "--nodes goes from 1 to %d, --port from 1 to 60000", mostLocalNodes)
			}
			return l.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.IntVar(&nodes, "nodes", 3, "how many `nodes` a new cluster has")
	f.StringVar(&dir, "dir", "klamm-cluster", "the `folder` of the nodes' files and data")
	f.IntVar(&port, "port", 9092, "the `port` of the first node of a new cluster")
	f.StringArrayVar(&sets, "set", nil, "`key=value`, over the files of all nodes (may be repeated)")
	return cmd
}

// localCluster is a cluster on this machine.
type localCluster struct {
	env         *environment
	dir         string
	count, port int
	counted     bool // the user said how many nodes
	sets        []string
	nodes       []*localNode
}

// localNode is one of its nodes.
type localNode struct {
	name   string
	file   string
	config *config.Broker
}

func (l *localCluster) run(ctx context.Context) error {
	if err := l.prepare(); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	var list []processes.Process
	for _, n := range l.nodes {
		args := []string{os.Args[0], "serve", "--config", n.file}
		for _, set := range l.sets {
			args = append(args, "--set", set)
		}
		list = append(list, processes.Process{Name: n.name, Path: program, Args: args, Env: withoutKeys(os.Environ())})
	}
	return l.supervise(ctx, list)
}

// withoutKeys leaves out the variables that set nodes.
func withoutKeys(environ []string) (kept []string) {
	for _, variable := range environ {
		if !strings.HasPrefix(variable, "KLAMM_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// supervise runs the nodes until ctx ends. If one ends before all of them serve, the
// others are stopped.
func (l *localCluster) supervise(ctx context.Context, list []processes.Process) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var serves atomic.Bool
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		if l.awaitReady(running) {
			serves.Store(true)
			fmt.Fprintf(l.env.out, "the cluster serves at %s\n", strings.Join(l.addresses(), ","))
		}
	}()
	err := processes.Run(running, list, processes.Deps{
		Out: l.env.errOut, Patience: stopPatience, Hurry: secondSignal(ctx),
		Started: func(name string, pid int) { l.env.note("%s is process %d", name, pid) },
		Ended: func(name string, err error) {
			if serves.Load() {
				l.env.note("%s has ended: %s. The others go on; start it again with klamm serve --config %s", name, howEnded(err), l.node(name).file)
				return
			}
			stop(fmt.Errorf("%s has ended before the cluster served: %s; what it printed says why", name, howEnded(err)))
		},
	})
	cause := context.Cause(running)
	stop(nil)
	<-asked
	if ctx.Err() != nil || cause == nil {
		return err
	}
	return errors.Join(cause, err)
}

func howEnded(err error) string {
	if err == nil {
		return "it stopped in order"
	}
	return err.Error()
}

// secondSignal is closed when the user is told to stop once more after ctx has ended.
func secondSignal(ctx context.Context) <-chan struct{} {
	signals, again := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		<-signals // the one that ended ctx
		<-signals
		close(again)
	})
	return again
}

func (l *localCluster) node(name string) *localNode {
	for _, n := range l.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

// addresses are where clients find the nodes.
func (l *localCluster) addresses() (all []string) {
	for _, n := range l.nodes {
		for _, e := range n.config.AdvertisedListeners[:min(1, len(n.config.AdvertisedListeners))] {
			all = append(all, e.Address())
		}
	}
	return all
}

// awaitReady reports whether all brokers are registered, before ctx ends.
func (l *localCluster) awaitReady(ctx context.Context) bool {
	seeds := l.addresses()
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ClientID("klamm"), kgo.DisableClientMetrics(), kgo.MetadataMinAge(readyPoll/2))
	if err != nil {
		return false
	}
	defer client.Close()
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		brokers, err := kadm.NewClient(client).ListBrokers(attempt)
		cancel()
		if err == nil && len(brokers) == len(seeds) {
			return true
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return false
		}
	}
}

// prepare reads the nodes' files, and writes those and formats the folders that are
// not there.
func (l *localCluster) prepare() error {
	dir, err := filepath.Abs(l.dir)
	if err != nil {
		return fmt.Errorf("find the folder %s: %w", l.dir, err)
	}
	l.dir = dir
	there, err := filepath.Glob(filepath.Join(dir, "node-*.properties"))
	if err != nil {
		return fmt.Errorf("find the nodes of %s: %w", dir, err)
	}
	if len(there) > 0 && l.counted && len(there) != l.count {
		return fmt.Errorf("%s has a cluster of %d already: leave --nodes out, or name another folder with --dir", l.dir, len(there))
	}
	if len(there) == 0 {
		if there, err = l.writeFiles(); err != nil {
			return err
		}
	}
	for _, file := range there {
		c, _, err := config.Load(file, nil, l.sets) // the node itself says what it warns of
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		l.nodes = append(l.nodes, &localNode{name: strings.TrimSuffix(filepath.Base(file), ".properties"), file: file, config: c})
	}
	return l.format()
}

// format formats what is not, for the cluster that the rest is of.
func (l *localCluster) format() error {
	clusterID := ""
	for _, n := range l.nodes {
		for _, path := range format.Paths(n.config) {
			is, err := log.ReadIdentity(disk.OS, path)
			if err != nil {
				return err
			}
			if is.Formatted() {
				clusterID = is.ClusterID
			}
		}
	}
	if clusterID == "" {
		clusterID = protocol.NewTopicID().String()
	}
	for _, n := range l.nodes {
		if _, err := format.Run(disk.OS, n.config, format.Request{ClusterID: clusterID, IgnoreFormatted: true}); err != nil {
			return fmt.Errorf("format the folders of %s: %w", n.name, err)
		}
	}
	return nil
}

// writeFiles writes a file for each node of a new cluster.
func (l *localCluster) writeFiles() (files []string, err error) {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the cluster: %w", err)
	}
	for id := 1; id <= l.count; id++ {
		file := filepath.Join(l.dir, fmt.Sprintf("node-%d.properties", id))
		if err := disk.WriteFileAtomic(disk.OS, file, []byte(l.properties(id))); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// portStep lies between the ports of one node and of the next.
const portStep = 100

// properties is the file of a node.
func (l *localCluster) properties(id int) string {
	var voters []string
	for i := range l.count {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, l.port+1+portStep*i))
	}
	port, replicas := l.port+portStep*(id-1), min(3, l.count)
	return fmt.Sprintf(`# Node %d of a cluster on this machine, as klamm cluster start wrote it. It is yours to change.
process.roles=broker,controller
node.id=%d
controller.quorum.voters=%s
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d
log.dirs=%s
klamm.http.listener=127.0.0.1:%d
default.replication.factor=%d
min.insync.replicas=%d
offsets.topic.replication.factor=%d
transaction.state.log.replication.factor=%d
transaction.state.log.min.isr=%d
`, id, id, strings.Join(voters, ","), port, port+1, filepath.Join(l.dir, fmt.Sprintf("node-%d", id)), port+9644-9092,
		replicas, max(1, replicas-1), replicas, replicas, max(1, replicas-1))
}
