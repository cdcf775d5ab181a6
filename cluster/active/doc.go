// Package active is the active controller: what a node does while it leads the
// quorum. Around the pure decisions of package controller it keeps the time, hears
// from the brokers, and has what follows from that decided: who is silent for too
// long, or whose connection broke, is fenced, so that others lead.
//
// All decisions of a term pass through its queue. Those that wait while the quorum is
// busy with earlier ones are taken together, each on the metadata as the one before
// leaves it: a failover makes hundreds, and each round of the quorum takes a flush or
// two. A heartbeat that changes nothing needs none.
//
// What is known of the brokers besides the metadata, [controller.Liveness], begins anew
// with each term. No answer rests on it alone: a node that does not know yet that
// another was elected gets nothing decided.
//
// Goroutines: [Active.Run] waits for the lead; in a term one takes the decisions, one
// fences, and one elects leaders where nobody asked for it. Requests wait on the
// goroutine of who asks. Locks: Active.mu, queue.mu and term.mu are held for moments,
// none of them inside another, and term.mu inside the quorum's turn.
package active
