// Package config knows the keys by which a broker and its topics are set: their
// types, ranges and defaults, where a value came from, and what follows for a
// topic. The keys are Kafka's (docs/guide/configuration.md); those that begin
// with "klamm." are our own.
//
// A [Broker] is made once, at the start, and never changes; what is changed at
// run time is handed in with each question. The package starts no goroutines.
package config
