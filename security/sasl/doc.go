// Package sasl finds out who is at the other end of a connection by SASL, as Kafka
// carries it: a SaslHandshake names a mechanism, and its tokens follow in
// SaslAuthenticate requests, or bare after a handshake of version 0.
//
// A [Server] is what one listener offers. Each of its connections has a
// [Conversation], which is pure: what it does follows from the requests that it is
// told of and their time, and it says what is to be answered. Who is not known yet may
// ask for nothing but the versions of APIs; whose session has ended must authenticate
// again as whom he was (KIP-368).
//
// [Login] is the client's side, by which the nodes of a cluster prove to each other
// who they are.
//
// Invariants: no error that a client is told says whether there is a user of a name,
// or what is wrong with a password. Nothing that is secret is in an error at all.
//
// The package starts no goroutines. A Server is safe for concurrent use, a
// Conversation belongs to its connection's goroutine.
package sasl
