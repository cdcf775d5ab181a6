package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newQuorumStatusCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show who leads, who votes, and how far each node is",
		Long: `Show which node leads the quorum of the cluster's metadata, which nodes vote in
it, which only follow, and how far each of them is behind the leader.`,
		Args: arguments(0, 0),
	}
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return env.withQuorum(cmd.Context(), func(_ *kgo.Client, q *shownQuorum) error {
			if *output == "table" {
				return env.showQuorum(q)
			}
			return env.show(*output, nil, q)
		})
	}
	return cmd
}

func (e *environment) showQuorum(q *shownQuorum) error {
	leader := "-"
	if q.Leader >= 0 {
		leader = strconv.Itoa(int(q.Leader))
	}
	fmt.Fprintf(e.out, "LEADER %s  EPOCH %d  HIGH-WATERMARK %d\n", leader, q.LeaderEpoch, q.HighWatermark)
	t := newTable("NODE", "ROLE", "LOG-END-OFFSET", "LAG", "LAST-FETCH", "LAST-CAUGHT-UP", "DIRECTORY-ID", "ENDPOINTS")
	for i := range q.Replicas {
		r := &q.Replicas[i]
		t.add(r.Node, r.Role, r.LogEndOffset, r.Lag, r.LastFetch, r.LastCaughtUp, r.DirectoryID, strings.Join(r.Endpoints, ","))
	}
	return t.write(e.out)
}
