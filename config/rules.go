package config

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// rule refuses values that have the right type and are still not right. What it
// says is what a client reads.
type rule func(name, value string) error

func atLeast(least int64) rule { return between(least, math.MaxInt64) }

func between(least, most int64) rule {
	return func(name, value string) error {
		switch n, err := strconv.ParseInt(value, 10, 64); {
		case err != nil:
			return err
		case n < least:
			return invalid(name, value, fmt.Sprintf("Value must be at least %d", least))
		case n > most:
			return invalid(name, value, fmt.Sprintf("Value must be no more than %d", most))
		}
		return nil
	}
}

// ratio is from 0 to 1.
func ratio(name, value string) error {
	switch f, err := strconv.ParseFloat(value, 64); {
	case err != nil:
		return err
	case f < 0:
		return invalid(name, value, "Value must be at least 0")
	case f > 1:
		return invalid(name, value, "Value must be no more than 1")
	}
	return nil
}

func oneOf(choices ...string) rule {
	return func(name, value string) error {
		if !slices.Contains(choices, value) {
			return invalid(name, value, "String must be one of: "+strings.Join(choices, ", "))
		}
		return nil
	}
}

func listOf(choices ...string) rule {
	one := oneOf(choices...)
	return func(name, value string) error {
		for _, item := range splitList(value) {
			if err := one(name, item); err != nil {
				return err
			}
		}
		return nil
	}
}

// gzipLevel is -1 for the codec's own choice, or 1 to 9.
func gzipLevel(name, value string) error {
	if n, err := strconv.Atoi(value); err != nil || n != -1 && (n < 1 || n > 9) {
		return invalid(name, value, "Value must be between 1 and 9 or equal to -1")
	}
	return nil
}

// retention is a time, or negative for ever. Kafka refuses to start with 0,
// which would delete what was just written.
func retention(name, value string) error {
	if n, err := strconv.ParseInt(value, 10, 64); err != nil || n == 0 {
		return invalid(name, value, "Value must be at least 1, or -1 to keep records for ever")
	}
	return nil
}

var replica = regexp.MustCompile(`^[0-9]+:[0-9]+$`)

// throttled is * or a list of PARTITION:BROKER.
func throttled(name, value string) error {
	items := splitList(value)
	if value == "*" || !slices.ContainsFunc(items, func(s string) bool { return !replica.MatchString(s) }) {
		return nil
	}
	return invalid(name, value, "want * or a list of PARTITION:BROKER")
}

func noTieredStorage(name, value string) error {
	if strings.EqualFold(value, "true") {
		return invalid(name, value, "there is no tiered storage here")
	}
	return nil
}
