// Package controller takes the decisions of the cluster: which topics there
// are, how they are configured, where their partitions live, who is in it, and who
// leads what.
//
// Every decision is a pure function from the metadata as it is, the request and
// the [Inputs] to the records that make it so, and the answer. Nothing has
// happened until the quorum made the records durable; a request that only asks
// (validate only) gets the same answer and no records. Whether the client may
// ask at all is for the caller to check, before. [Liveness] alone has a state, which
// its owner keeps.
//
// All changes of a partition's replicas pass through one place, the draft. It holds
// the rule that the rest relies on: a leader is elected from the ISR, and where that
// is empty from the ELR (KIP-966), who left it since anything could be acknowledged
// without them. Others lead only where the topic allows to lose records.
//
// Codes and messages are those of Kafka 4.3; the transcripts under
// testdata/transcripts were recorded from one. testdata/stories tells what happens in
// a cluster of several nodes.
package controller
