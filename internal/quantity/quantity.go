// Package quantity writes numbers as people read them.
package quantity

import (
	"fmt"
	"strconv"
)

// Counted puts a number before the word for one or for many: 1 record, 2,000
// records.
func Counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Digits(n) + " " + many
}

// Digits writes a number with commas: 336,776.
func Digits(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// units are those of Bytes, each a thousand times the one before.
var units = []string{"kB", "MB", "GB", "TB"}

// Bytes writes an amount of bytes in B, kB, MB, GB or TB, powers of 1000.
func Bytes(bytes float64) string {
	if bytes < 1e3 {
		return fmt.Sprintf("%.0f B", bytes)
	}
	unit := ""
	for _, unit = range units {
		if bytes /= 1e3; bytes < 1e3 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", bytes, unit)
}
