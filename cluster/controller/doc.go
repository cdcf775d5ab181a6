// Package controller takes the decisions of the cluster: which topics there
// are, how they are configured, where their partitions live, who is in it.
//
// Every decision is a pure function from the metadata as it is, the request and
// the [Inputs] to the records that make it so, and the answer. Nothing has
// happened until the quorum made the records durable; a request that only asks
// (validate only) gets the same answer and no records. Whether the client may
// ask at all is for the caller to check, before.
//
// Codes and messages are those of Kafka 4.3; the transcripts under testdata were
// recorded from one.
package controller
