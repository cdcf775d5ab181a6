// Package txn is the state of transactions: which producer writes in which
// partitions under a transactional id, and how each transaction ends.
//
// A [Coordinator] holds the transactional ids of one partition of
// __transaction_state. It is a step machine without goroutines, clock or I/O:
// each request or passing of time is a step, given now, that says in a
// [step.Output] which replies to send, which records to write, and for which
// partitions markers are to be written ([WriteMarkers]).
//
// A transaction ends in two phases. First its decision is written (PrepareCommit
// or PrepareAbort); once that is committed the client is answered and markers go
// to every partition of the transaction; once all are there, the completion is
// written and the next transaction may begin. A crash at any point leaves a
// decision, which is carried out again, or none, and then the transaction is
// still open and ends by its time-out.
//
// Invariants: state changes only when its record was appended; a transaction has
// one decision; markers are asked for only after the decision is committed; no
// partition gets records of a transaction that does not know of it; the epoch of
// a producer id only grows; the records written, replayed in order, give the same
// state.
//
// The caller serialises all calls.
package txn
