package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// listedGroup is one group of `klamm group list`.
type listedGroup struct {
	Group        string `json:"group"`
	Type         string `json:"type"` // classic, consumer or another; empty where the cluster does not say
	ProtocolType string `json:"protocol_type"`
	State        string `json:"state"`
	Coordinator  int32  `json:"coordinator"`
}

func newGroupListCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List groups",
		Args:  arguments(0, 0),
	}
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			found, err := admin.ListGroups(cmd.Context())
			if err != nil {
				return fmt.Errorf("list groups: %s", reason(err, ""))
			}
			types := groupTypes(cmd.Context(), admin)
			groups, t := []listedGroup{}, newTable("GROUP", "TYPE", "PROTOCOL-TYPE", "STATE", "COORDINATOR")
			for _, g := range found.Sorted() {
				groups = append(groups, listedGroup{g.Group, types[g.Group], g.ProtocolType, g.State, g.Coordinator})
				t.add(g.Group, types[g.Group], g.ProtocolType, g.State, g.Coordinator)
			}
			return env.show(*output, t, groups)
		})
	}
	return cmd
}

// groupTypes asks for the type of each group. A cluster before Kafka 3.8 does not
// know the question and lists all groups as of every type: then none is told.
func groupTypes(ctx context.Context, admin *kadm.Client) map[string]string {
	types := map[string]string{}
	for _, kind := range []string{"classic", "consumer", "share", "streams"} {
		found, err := admin.ListGroupsByType(ctx, []string{kind})
		if err != nil {
			continue
		}
		for group := range found {
			if _, another := types[group]; another {
				return nil
			}
			types[group] = kind
		}
	}
	return types
}
