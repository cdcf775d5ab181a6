// Package control is a broker's conversation with the active controller: the node
// that leads the quorum, which may be this one. The broker registers, says again and
// again that it is there, asks for ISRs and producer ids, and for what clients want
// decided.
//
// Whom to ask is what the metadata's [View] says. A request that gets no answer is
// sent again, to who leads then, so what it asks for may be done twice; every API
// of the controller allows that, as Kafka's brokers do it too.
//
// Invariants: a broker asks to take part (a heartbeat without WantFence) only once
// the broker has taken in metadata that shows this incarnation with the epoch it was
// given. An ISR counts for its leader only once the broker has taken in metadata
// that has it: a min.insync.replicas that was raised before is then known too. Each
// proposal is answered once, at the latest when Run ends.
//
// Run has three goroutines: one follows who leads the quorum, one speaks for the
// broker (registration and heartbeats, and owns the [session]), one carries
// proposals, a request at a time. Ask and TakeProducerIDs run on their callers'
// goroutines. One mutex guards what they share; no function that was handed in is
// called under it.
package control
