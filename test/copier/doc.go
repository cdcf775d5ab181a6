// Package copier copies a topic into another in transactions, exactly once, in a
// process that can be killed at any time, and checks the copy. The records are
// the flights of test/data.
package copier
