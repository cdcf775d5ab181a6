// Package group is the state of consumer groups: who is a member, who reads
// what, and what was committed.
//
// A [Coordinator] holds the groups of one partition of __consumer_offsets. It is
// a step machine without goroutines, clock or I/O: each request or passing of
// time is a step, given now, that changes the groups and says in an [Output]
// which replies to send and which records to write. Offsets change only when
// their records were appended; everything else of a group is made anew by its
// members after a failure, so it changes at once.
//
// Invariants: a generation has one leader and one protocol that every member
// knows; a reply goes out exactly once for each [Ticket]; generations only grow;
// the records written, replayed in order, give the same offsets and the same
// members.
//
// The caller serialises all calls.
package group
