// Package architecture holds the tests that keep ARCHITECTURE.md true. It has
// no code of its own.
package architecture
