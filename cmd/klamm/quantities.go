package main

import (
	"fmt"
	"strconv"
)

// groupDigits writes a number with commas: 336,776.
func groupDigits(n int64) string {
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

// megabytes writes bytes as MB of 10^6 bytes, with one decimal.
func megabytes(bytes float64) string { return fmt.Sprintf("%.1f MB", bytes/1e6) }
