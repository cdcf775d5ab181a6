//go:build !breakage

package breakage

// Is reports whether Klamm is broken in that way: it is not.
func Is(Kind) bool { return false }
