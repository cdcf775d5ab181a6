// Package marker brings the markers that end transactions to whoever leads their
// partitions: this node writes them itself, others are asked to (WriteTxnMarkers).
//
// A marker is brought until it is written, or need not be because its topic is gone
// or its producer went on: while a partition has no leader, while that cannot be
// reached, or does not know yet that it leads. It is tried again after a pause that
// grows, and at once when the partition's leader changes. What time does not heal is
// told to the coordinator, which tries again later. The coordinator's term bounds all
// of that.
//
// Invariants: each [Delivery.WriteMarkers] is answered once, at the latest when Run
// ends. No more than one request is under way to a node; what is for that node
// meanwhile goes out together in the next. A marker may be written twice, if an
// answer is lost; logs take that, as Kafka's do.
//
// Run waits for what is due, and runs the [outbox.Outbox] of what is for other nodes.
// The mutex guards what waits; nothing that was handed in is called under it.
package marker
