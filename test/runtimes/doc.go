// Package runtimes finds, and fetches where that is possible, what programs in other
// languages need to run: clients of Kafka under test. What it fetches is kept in the
// tree's .cache. It starts nothing that outlives a call.
package runtimes
