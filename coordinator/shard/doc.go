// Package shard runs the group coordinators of this broker: one for each
// partition of __consumer_offsets that it leads.
//
// Each partition has a mutex, under which a request is one step of its
// [group.Coordinator]: the step changes the state, its records are appended, and
// then the lock is let go. Replies that depend on records leave when those are
// committed; so do replies that tell what was committed, if anything is appended
// and not yet committed. The package's only goroutine is that of [Groups.Run],
// which lets time pass, and one for each partition while it is loaded.
package shard
