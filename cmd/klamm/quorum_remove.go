package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newQuorumRemoveCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove NODE",
		Short: "Take a controller's vote away",
		Long: `Take the vote of a controller on the cluster's metadata away, for good. It may run
or not. More than half of those who vote must run, with it and without it.`,
		Example:           `  klamm quorum remove 4`,
		Args:              arguments(1, 1),
		ValidArgsFunction: env.completeReplicas(true),
	}
	directory := directoryFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		req := kmsg.NewPtrRemoveRaftVoterRequest()
		if req.VoterID, err = nodeID(cmd, args[0]); err != nil {
			return err
		}
		if req.VoterDirectoryID, err = parseDirectory(cmd, *directory); err != nil {
			return err
		}
		return env.withQuorum(cmd.Context(), func(client *kgo.Client, q *shownQuorum) error {
			known, votes := q.directoryOf(req.VoterID, true)
			if !votes {
				return fmt.Errorf("node %d does not vote; the voters are %s", req.VoterID, q.voters())
			}
			if *directory == "" {
				if req.VoterDirectoryID, err = parseDirectory(cmd, known); err != nil {
					return err
				}
			}
			return env.removeVoter(cmd.Context(), client, req)
		})
	}
	return cmd
}

func (e *environment) removeVoter(ctx context.Context, client *kgo.Client, req *kmsg.RemoveRaftVoterRequest) error {
	resp, err := req.RequestWith(ctx, client)
	message := ""
	if err == nil {
		err, message = kerr.ErrorForCode(resp.ErrorCode), textOf(resp.ErrorMessage)
	}
	if err != nil {
		return fmt.Errorf("take the vote of node %d away: %s", req.VoterID, reason(err, message))
	}
	fmt.Fprintf(e.out, "node %d votes no more\n", req.VoterID)
	return nil
}
