// Package shard runs the coordinators of this broker: those of groups, one for each
// partition of __consumer_offsets that it leads, and those of transactions, one for
// each of __transaction_state.
//
// Each partition has a mutex, under which a request is one step of its machine
// ([group.Coordinator], [txn.Coordinator]): the step changes the state, its records
// are appended, and then the lock is let go. Replies that depend on records leave when
// those are committed; so do replies that tell what was committed, if anything is
// appended and not yet committed.
//
// A partition is led in one leader epoch. Who leads it in a later one begins from the
// log, after the one before has ended: no step of an earlier epoch is appended once
// the log is read for a later one. What happens to the cluster while the log is read
// is taken in when it is read.
//
// The package's only goroutines are those of [Groups.Run] and [Txns.Run], which let
// time pass; a partition is loaded on the caller's.
package shard
