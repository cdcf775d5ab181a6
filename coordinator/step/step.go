// Package step is what a coordinator's step machine says: the replies to send,
// the records to write, and what is to be done once they are committed.
//
// The machines ([github.com/klamm-io/klamm/coordinator/group],
// [github.com/klamm-io/klamm/coordinator/txn]) decide and the shell
// ([github.com/klamm-io/klamm/coordinator/shard]) acts. Nothing here does
// anything by itself.
package step

// Ticket stands for a request that waits for its reply. A machine hands it back
// and does not look into it.
type Ticket any

// Reply is the answer to a request.
type Reply struct {
	To       Ticket
	Response any
	// Failed is what is answered instead if the records that were written in the
	// same step are not committed; nil for the same Response.
	Failed any
}

// Record is a record of the coordinator's topic; a nil value deletes what the
// key has.
type Record struct{ Key, Value []byte }

// Write is records to be appended together. The caller then calls Done, within
// the same step, with nil or why they were not appended; the replies that it
// returns are to be sent when the records are committed, or at once after an
// error.
type Write struct {
	Records  []Record
	Producer *Producer // who writes them within a transaction; nil for no transaction
	Marker   *Marker   // written instead of Records
	Done     func(err error) []Reply
	Then     Effect // done once the records are committed; nothing if they are not
}

// Producer is a producer whose transaction a write belongs to.
type Producer struct {
	ID           int64
	Epoch        int16
	Verification uint64 // under which the partition was found to be in the transaction
}

// Marker ends the transaction of a producer in the coordinator's own partition.
type Marker struct {
	ProducerID       int64
	ProducerEpoch    int16
	CoordinatorEpoch int32
	Commit           bool
	Version          int16 // transaction.version by which the transaction ended
}

// Effect is something that a machine wants done outside of its state. What kinds
// there are is between the machine and its shell.
type Effect any

// Output is what a step wants done.
type Output struct {
	Replies []Reply // to be sent at once
	Writes  []Write // in their order
	// Later and Effects are sent and done once everything that was appended so far
	// is committed: what they tell is then true after a crash too.
	Later   []Reply
	Effects []Effect
	// Next, if it is set, is a step to take after the writes of this one, before any
	// other.
	Next func() Output
}
