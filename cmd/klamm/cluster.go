package main

import "github.com/spf13/cobra"

func newClusterCommand(env *environment) *cobra.Command {
	return parentCommand("cluster", "See how a cluster is, restart it, or run one on this machine",
		newClusterHealthCommand(env),
		newClusterRestartCommand(env),
		newClusterStartCommand(env),
	)
}
