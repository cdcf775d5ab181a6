package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm-io/klamm/broker"
	"github.com/klamm-io/klamm/cluster/format"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// formatFlags are those of `klamm format`.
type formatFlags struct {
	file, clusterID, initial    string
	sets, features, scram       []string
	standalone, joins, ignoring bool
}

func newFormatCommand(env *environment) *cobra.Command {
	var flags formatFlags
	cmd := &cobra.Command{
		Use:   "format",
		Short: "Make a node's folders those of a cluster",
		Long: `Make the folders of a node those of a cluster, before it starts for the first time:
those of log.dirs, and metadata.log.dir. The node is set as for klamm serve; give
all nodes of a cluster the same id, as klamm uuid prints it.

Where controller.quorum.voters lists the voters, that is all. Where it does not, a
controller must be told how the cluster begins: with --initial-controllers, the
same for all nodes, with --standalone, or not with this node. A node alone, without
process.roles, and a cluster's only voter format their folders when they start.

A cluster whose listeners ask by SCRAM who a client is begins with the users of
--add-scram, the same on all nodes.`,
		Example: `  klamm format --config node-1.properties --cluster-id vPeOCWypqUOSepEvx0cbog
  klamm format --config node-1.properties --cluster-id vPeOCWypqUOSepEvx0cbog --standalone
  klamm format --config node-4.properties --cluster-id vPeOCWypqUOSepEvx0cbog --no-initial-controllers`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return env.format(cmd, &flags) },
	}
	f := cmd.Flags()
	f.StringVarP(&flags.file, "config", "c", "", "a server.properties `file`")
	f.StringArrayVar(&flags.sets, "set", nil, "`key=value`, over the file and the environment (may be repeated)")
	f.StringVarP(&flags.clusterID, "cluster-id", "t", "", "the `id` of the cluster")
	f.BoolVarP(&flags.standalone, "standalone", "s", false, "the cluster begins with this node as its one voter")
	f.StringVarP(&flags.initial, "initial-controllers", "I", "", "the voters that the cluster begins with: `ID@host:port:directory,…`; each directory is a klamm uuid")
	f.BoolVarP(&flags.joins, "no-initial-controllers", "N", false, "the cluster has begun, and this node joins it")
	f.BoolVarP(&flags.ignoring, "ignore-formatted", "g", false, "leave folders that are formatted already as they are")
	f.StringArrayVarP(&flags.features, "feature", "f", nil, "a feature's level, `name=level`; levels other than this version's cannot be chosen (may be repeated)")
	f.StringArrayVarP(&flags.scram, "add-scram", "S", nil, "a first user's password, `SCRAM-SHA-256=[name=alice,password=secret]` (may be repeated)")
	cmd.MarkFlagsMutuallyExclusive("standalone", "initial-controllers", "no-initial-controllers")
	return cmd
}

func (e *environment) format(cmd *cobra.Command, flags *formatFlags) error {
	if !cmd.Flags().Changed("cluster-id") {
		return badUsage(cmd, "name the cluster with --cluster-id: `klamm uuid` prints an id for a new one, which all its nodes are given")
	}
	c, warnings, err := config.Load(flags.file, os.Environ(), flags.sets)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		e.note("warning: %s", w.Text)
	}
	r := format.Request{ClusterID: flags.clusterID, Standalone: flags.standalone, NoInitialControllers: flags.joins, IgnoreFormatted: flags.ignoring}
	for _, user := range flags.scram {
		first, err := format.ParseCredential(user)
		if err != nil {
			return badUsage(cmd, "--add-scram: %v", err) // without the text, which has a password
		}
		r.Credentials = append(r.Credentials, first)
	}
	if cmd.Flags().Changed("initial-controllers") {
		name := "CONTROLLER"
		if len(c.ControllerListenerNames) > 0 {
			name = c.ControllerListenerNames[0]
		}
		if r.InitialControllers, err = format.ParseControllers(flags.initial, name); err != nil {
			return fmt.Errorf("--initial-controllers: %w", err)
		}
	}
	if err := checkLevels(flags.features, levels(r)); err != nil {
		return err
	}
	folders, err := format.Run(disk.OS, c, r)
	if err != nil {
		return fmt.Errorf("format: %w", err)
	}
	for _, f := range folders {
		if f.Stayed {
			fmt.Fprintf(e.out, "folder %s stays as it is: node %d of cluster %s\n", f.Path, f.NodeID, f.ClusterID)
			continue
		}
		fmt.Fprintf(e.out, "folder %s formatted: node %d of cluster %s, directory id %s\n", f.Path, f.NodeID, f.ClusterID, f.DirectoryID)
	}
	return nil
}

// levels are the feature levels that a cluster begins with.
func levels(r format.Request) map[string]int16 {
	all := map[string]int16{"kraft.version": 0}
	if r.Standalone || len(r.InitialControllers) > 0 || r.NoInitialControllers {
		all["kraft.version"] = 1
	}
	maps.Copy(all, broker.FeatureLevels())
	return all
}

// checkLevels refuses levels that the cluster will not have.
func checkLevels(wanted []string, have map[string]int16) error {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(have)) {
		list = append(list, fmt.Sprintf("%s=%d", name, have[name]))
	}
	for _, item := range wanted {
		name, text, _ := strings.Cut(item, "=")
		level, err := strconv.ParseInt(text, 10, 16)
		if is, known := have[name]; err != nil || !known || level != int64(is) {
			return fmt.Errorf("--feature %s: the cluster begins with %s; leave the flag out", item, strings.Join(list, ", "))
		}
	}
	return nil
}

func newUUIDCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "uuid",
		Aliases: []string{"random-uuid"},
		Short:   "Print a new id, for a cluster or for a controller's folder",
		Args:    arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(env.out, protocol.NewTopicID())
			return err
		},
	}
}
