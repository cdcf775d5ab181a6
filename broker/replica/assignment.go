package replica

import (
	"slices"

	"github.com/klamm-io/klamm/protocol"
)

// Assignment is what the controller says about a partition. Its slices are not
// changed by anyone afterwards.
type Assignment struct {
	Leader         int32 // -1: none
	LeaderEpoch    int32
	PartitionEpoch int32 // counts all changes of what the controller says
	Replicas       []int32
	ISR            []int32
	MinISR         int     // min.insync.replicas, at most the replicas there are
	Recovering     bool    // the leader was elected though records may be missing from its log
	Offline        []int32 // replicas on brokers that are up, which count for nothing: their disk does not keep them
}

// alone is the assignment of a partition that has one replica.
func alone(node, leaderEpoch int32) Assignment {
	only := []int32{node}
	return Assignment{Leader: node, LeaderEpoch: leaderEpoch, Replicas: only, ISR: only, MinISR: 1}
}

// Proposal asks the controller for another ISR (AlterPartition).
type Proposal struct {
	protocol.TopicPartition
	TopicID        protocol.TopicID
	LeaderEpoch    int32
	PartitionEpoch int32 // that the controller must still be at
	ISR            []Member
}

// Member is a replica of a proposed ISR, with the epoch of its broker's
// registration (KIP-903): one that has restarted since is not meant. An epoch of
// -1 is not known, because the replica is the leader itself or has not fetched yet.
type Member struct {
	ID          int32
	BrokerEpoch int64
}

// ProposalAnswer is what became of a proposal: the assignment that it made, or
// an error, which wraps the *kerr.Error of the controller's answer if one came.
type ProposalAnswer struct {
	Assignment Assignment // but for MinISR, which is not looked at
	Err        error
}

// without returns a copy of ids that lacks some.
func without(ids []int32, some []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(ids), func(id int32) bool { return slices.Contains(some, id) })
}
