package txn

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/klamm-io/klamm/protocol"
)

// State is where a transaction is on its way. The numbers are those of the records.
type State int8

// States.
const (
	Empty          State = 0 // a producer, and no transaction yet
	Ongoing        State = 1
	PrepareCommit  State = 2 // decided; markers are being written
	PrepareAbort   State = 3
	CompleteCommit State = 4 // all markers are there
	CompleteAbort  State = 5
)

var stateNames = map[State]string{
	Empty: "Empty", Ongoing: "Ongoing", PrepareCommit: "PrepareCommit", PrepareAbort: "PrepareAbort",
	CompleteCommit: "CompleteCommit", CompleteAbort: "CompleteAbort",
}

// kafkaStates are all states that Kafka has names for.
var kafkaStates = []string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"}

// String is the name that clients know.
func (s State) String() string { return stateNames[s] }

func (s State) prepared() bool { return s == PrepareCommit || s == PrepareAbort }

// txn is a transactional id: its producer and its present or last transaction.
type txn struct {
	id         string
	producer   Producer
	previousID int64 // the producer id before the last record
	nextID     int64 // that takes over when the transaction is complete, -1 for none
	lastEpoch  int16 // that was replaced by the present one at its holder's own wish, -1 for none
	timeoutMs  int32
	state      State
	partitions map[protocol.TopicPartition]bool
	startMs    int64 // when the transaction began, -1 for none
	updatedMs  int64
	version    int16 // transaction.version by which it was last changed

	connection uint64 // on which a client without epochs for each transaction asked last
}

// exhausted reports whether a producer id has no epoch left for another producer.
// The greatest is kept to fence the last one.
func exhausted(epoch int16) bool { return epoch >= math.MaxInt16-1 }

// next is a copy of t to be changed into what follows.
func (t *txn) next(now time.Time) *txn {
	n := *t
	n.previousID = t.producer.ID
	n.partitions = maps.Clone(t.partitions)
	n.updatedMs = now.UnixMilli()
	return &n
}

// sortedPartitions lists the partitions by topic and number.
func (t *txn) sortedPartitions() []protocol.TopicPartition {
	return slices.SortedFunc(maps.Keys(t.partitions), func(a, b protocol.TopicPartition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

func (t *txn) hasAll(partitions []protocol.TopicPartition) bool {
	for _, tp := range partitions {
		if !t.partitions[tp] {
			return false
		}
	}
	return true
}
