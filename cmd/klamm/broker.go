package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/klamm-io/klamm/cluster/health"
)

func newBrokerCommand(env *environment) *cobra.Command {
	return parentCommand("broker", "List brokers, and take them out of a cluster",
		newBrokerListCommand(env),
		newBrokerDecommissionCommand(env),
		newBrokerUndecommissionCommand(env),
		newBrokerUnregisterCommand(env),
	)
}

// brokerID reads the id of a broker from the command line.
func brokerID(cmd *cobra.Command, text string) (int32, error) {
	id, err := strconv.ParseInt(text, 10, 32)
	if err != nil || id < 0 {
		return 0, badUsage(cmd, "%q is no broker: it is a number, as `klamm broker list` shows them", text)
	}
	return int32(id), nil
}

// unknownBroker says that no broker has an id.
func unknownBroker(f *health.Facts, id int32) error {
	var ids []int32
	for _, b := range f.Brokers {
		ids = append(ids, b.ID)
	}
	return fmt.Errorf("broker %d is not in the cluster, which has %s. See `klamm broker list`", id, joinInts(ids))
}
