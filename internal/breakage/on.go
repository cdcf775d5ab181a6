//go:build breakage

package breakage

import "os"

var chosen = Kind(os.Getenv("KLAMM_BREAKAGE"))

// Is reports whether Klamm is broken in that way.
func Is(k Kind) bool { return k == chosen }
