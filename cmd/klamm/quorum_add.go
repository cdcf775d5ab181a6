package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newQuorumAddCommand(env *environment) *cobra.Command {
	var listeners []string
	cmd := &cobra.Command{
		Use:   "add NODE",
		Short: "Let a controller vote",
		Long: `Let a controller vote on the cluster's metadata. Start it first, with the
addresses of the others in controller.quorum.bootstrap.servers: it follows the
quorum then, and "klamm quorum status" shows it as an observer.`,
		Example:           `  klamm quorum add 4 --listener CONTROLLER://node-4.example.com:9093`,
		Args:              arguments(1, 1),
		ValidArgsFunction: env.completeReplicas(false),
	}
	cmd.Flags().StringArrayVarP(&listeners, "listener", "l", nil, "where the others reach its controller, `NAME://HOST:PORT`; may be repeated")
	directory := directoryFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req, err := addRequest(cmd, args[0], listeners, *directory)
		if err != nil {
			return err
		}
		return env.withQuorum(cmd.Context(), func(client *kgo.Client, q *shownQuorum) error {
			if err := q.completeAdd(cmd, req); err != nil {
				return err
			}
			return env.addVoter(cmd.Context(), client, req)
		})
	}
	return cmd
}

// addRequest is what the command line says.
func addRequest(cmd *cobra.Command, node string, listeners []string, directory string) (_ *kmsg.AddRaftVoterRequest, err error) {
	req := kmsg.NewPtrAddRaftVoterRequest()
	req.TimeoutMillis = int32(adminTimeout.Milliseconds())
	if req.VoterID, err = nodeID(cmd, node); err != nil {
		return nil, err
	}
	if req.VoterDirectoryID, err = parseDirectory(cmd, directory); err != nil {
		return nil, err
	}
	if len(listeners) == 0 {
		return nil, badUsage(cmd, "name where the others reach the controller: --listener CONTROLLER://HOST:PORT")
	}
	for _, text := range listeners {
		l, err := parseVoterListener(cmd, text)
		if err != nil {
			return nil, err
		}
		req.Listeners = append(req.Listeners, l)
	}
	return req, nil
}

func parseVoterListener(cmd *cobra.Command, text string) (l kmsg.AddRaftVoterRequestListener, err error) {
	name, address, found := strings.Cut(text, "://")
	host, port, err := net.SplitHostPort(address)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if !found || name == "" || host == "" || err != nil || portErr != nil || number == 0 {
		return l, badUsage(cmd, "--listener %s: it is written NAME://HOST:PORT, as advertised.listeners", text)
	}
	return kmsg.AddRaftVoterRequestListener{Name: name, Host: host, Port: uint16(number)}, nil
}

// completeAdd adds the directory that the cluster knows of the node.
func (q *shownQuorum) completeAdd(cmd *cobra.Command, req *kmsg.AddRaftVoterRequest) error {
	if _, votes := q.directoryOf(req.VoterID, true); votes {
		return fmt.Errorf("node %d votes already; the voters are %s", req.VoterID, q.voters())
	}
	if req.VoterDirectoryID != [16]byte{} {
		return nil
	}
	known, follows := q.directoryOf(req.VoterID, false)
	switch {
	case !follows:
		return fmt.Errorf("node %d does not follow the quorum: start it first, or name its folder with --directory. See `klamm quorum status`", req.VoterID)
	case known == "":
		return fmt.Errorf("the cluster does not know the directory of node %d: name it with --directory, directory.id of its meta.properties", req.VoterID)
	}
	var err error
	req.VoterDirectoryID, err = parseDirectory(cmd, known)
	return err
}

func (e *environment) addVoter(ctx context.Context, client *kgo.Client, req *kmsg.AddRaftVoterRequest) error {
	resp, err := req.RequestWith(ctx, client)
	message := ""
	if err == nil {
		err, message = kerr.ErrorForCode(resp.ErrorCode), textOf(resp.ErrorMessage)
	}
	if err != nil {
		return fmt.Errorf("let node %d vote: %s", req.VoterID, reason(err, message))
	}
	fmt.Fprintf(e.out, "node %d votes\n", req.VoterID)
	return nil
}
