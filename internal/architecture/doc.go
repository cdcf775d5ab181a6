// Package architecture holds the tests that keep ARCHITECTURE.md and the links of
// all documents true. It has no code of its own.
package architecture
