package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// listedGroup is one group of `klamm group list`.
type listedGroup struct {
	Group        string `json:"group"`
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
			groups, t := []listedGroup{}, newTable("GROUP", "PROTOCOL-TYPE", "STATE", "COORDINATOR")
			for _, g := range found.Sorted() {
				groups = append(groups, listedGroup{g.Group, g.ProtocolType, g.State, g.Coordinator})
				t.add(g.Group, g.ProtocolType, g.State, g.Coordinator)
			}
			return env.show(*output, t, groups)
		})
	}
	return cmd
}
