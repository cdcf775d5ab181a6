package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// place spreads partitions over the brokers in turn: the leader of each is the
// one after the leader of the last, and its followers are the ones after it.
// first says where to begin, so that topics of few partitions do not all meet
// on the same broker.
func place(img *metadata.Image, first, count, replicas int) ([]metadata.Partition, error) {
	var ids []int32
	for b := range img.Brokers() {
		ids = append(ids, b.ID)
	}
	switch {
	case len(ids) == 0:
		return nil, refuse(kerr.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): "+
			"All brokers are currently fenced.", replicas)
	case replicas > len(ids):
		return nil, refuse(kerr.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): "+
			"The target replication factor of %d cannot be reached because only %d broker(s) are registered "+
			"or some brokers have all their log directories cordoned.", replicas, replicas, len(ids))
	}
	// Partitions that begin at the same broker share one list.
	lists := make([][]int32, len(ids))
	for i := range lists {
		lists[i] = append(slices.Clone(ids[i:]), ids[:i]...)[:replicas:replicas]
	}
	partitions := make([]metadata.Partition, count)
	for i := range partitions {
		partitions[i] = newPartition(lists[(first+i)%len(ids)])
	}
	return partitions, nil
}

func newPartition(replicas []int32) metadata.Partition {
	return metadata.Partition{Leader: replicas[0], Replicas: replicas, ISR: replicas}
}

// checkReplicas judges one partition's brokers as a client named them. want is
// how many the topic's other partitions have, 0 for the first.
func checkReplicas(img *metadata.Image, replicas []int32, want int) error {
	const invalid = "The manual partition assignment includes "
	if len(replicas) == 0 {
		return refuse(kerr.InvalidReplicaAssignment, invalid+"an empty replica list.")
	}
	sorted := slices.Sorted(slices.Values(replicas))
	for i, id := range sorted {
		if _, registered := img.Broker(id); !registered {
			return refuse(kerr.InvalidReplicaAssignment, invalid+"broker %d, but no such broker is registered.", id)
		}
		if i > 0 && id == sorted[i-1] {
			return refuse(kerr.InvalidReplicaAssignment, invalid+"the broker %d more than once.", id)
		}
	}
	if want != 0 && len(replicas) != want {
		return refuse(kerr.InvalidReplicaAssignment, invalid+"a partition with %d replica(s), but this is not "+
			"consistent with previous partitions, which have %d replica(s).", len(replicas), want)
	}
	return nil
}
