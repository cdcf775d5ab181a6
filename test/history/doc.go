// Package history knows what a log may not do, whatever happens to the brokers
// that keep it. A [Checker] is told what clients saw and finds what contradicts:
// an acknowledged record that is lost, one that is there twice, an offset that
// goes back. [Producer], [Read] and [Member] are clients that tell it, and that
// outlive brokers which come and go.
//
// The checker is safe for concurrent use; each client belongs to one goroutine.
package history
