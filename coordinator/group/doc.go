// Package group is the state of consumer groups: who is a member, who reads
// what, and what was committed.
//
// A [Coordinator] holds the groups of one partition of __consumer_offsets. It is
// a step machine without goroutines, clock or I/O: each request or passing of
// time is a step, given now, that changes the groups and says in an [Output]
// which replies to send and which records to write. Offsets change only when
// their records were appended; everything else of a classic group is made anew by
// its members after a failure, so it changes at once.
//
// A group of the new protocol (KIP-848) is only what its records say: a step
// drafts records and makes the same changes in a copy, which counts once they are
// appended ([draft]). What is expected of its members by when is not in the
// records and starts anew after a load ([watch]).
//
// Files that begin with consumer_ are about groups of the new protocol; upgrade.go,
// downgrade.go and classic_in_consumer.go about both kinds at once; the others about
// classic groups and offsets.
//
// Invariants: a generation has one leader and one protocol that every member
// knows; a reply goes out exactly once for each [Ticket]; generations and epochs
// only grow; no partition is held by two members of a consumer group; the records written, replayed in order, give the same offsets and the same
// members.
//
// The caller serialises all calls.
package group
