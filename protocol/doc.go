// Package protocol says what is said on the wire: how a request is framed and
// how much of it may be believed, the names of things (topic ids, partitions),
// and how an error becomes a code.
//
// The messages themselves are franz-go's kmsg. The package holds no state and
// starts no goroutines.
package protocol
