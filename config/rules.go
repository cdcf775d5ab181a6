package config

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// rule is what a value must be besides being of the right type. The zero rule
// takes all.
type rule struct {
	takes string // for the guide
	check func(name, value string) error
}

func atLeast(least int64) rule {
	r := between(least, math.MaxInt64)
	r.takes = fmt.Sprintf("%d or more", least)
	return r
}

func between(least, most int64) rule {
	return rule{fmt.Sprintf("%d to %d", least, most), func(name, value string) error {
		switch n, err := strconv.ParseInt(value, 10, 64); {
		case err != nil:
			return err
		case n < least:
			return invalid(name, value, fmt.Sprintf("Value must be at least %d", least))
		case n > most:
			return invalid(name, value, fmt.Sprintf("Value must be no more than %d", most))
		}
		return nil
	}}
}

var ratio = rule{"0 to 1", func(name, value string) error {
	switch f, err := strconv.ParseFloat(value, 64); {
	case err != nil:
		return err
	case f < 0:
		return invalid(name, value, "Value must be at least 0")
	case f > 1:
		return invalid(name, value, "Value must be no more than 1")
	}
	return nil
}}

var positive = rule{"more than 0", func(name, value string) error {
	if f, err := strconv.ParseFloat(value, 64); err != nil || !(f > 0) {
		return invalid(name, value, "Value must be more than 0")
	}
	return nil
}}

func oneOf(choices ...string) rule {
	return rule{strings.Join(choices, ", "), func(name, value string) error {
		if !slices.Contains(choices, value) {
			return invalid(name, value, "String must be one of: "+strings.Join(choices, ", "))
		}
		return nil
	}}
}

// oneOfAnyCase is oneOf that does not mind capitals.
func oneOfAnyCase(choices ...string) rule {
	one := oneOf(choices...)
	return rule{one.takes, func(name, value string) error { return one.check(name, strings.ToLower(value)) }}
}

func listOf(choices ...string) rule {
	one := oneOf(choices...)
	return rule{"any of " + one.takes, func(name, value string) error {
		for _, item := range splitList(value) {
			if err := one.check(name, item); err != nil {
				return err
			}
		}
		return nil
	}}
}

var gzipLevel = rule{"1 to 9, -1", func(name, value string) error {
	if n, err := strconv.Atoi(value); err != nil || n != -1 && (n < 1 || n > 9) {
		return invalid(name, value, "Value must be between 1 and 9 or equal to -1")
	}
	return nil
}}

// retention is a time, or negative for ever. Kafka refuses to start with 0,
// which would delete what was just written.
var retention = rule{"1 or more, -1", func(name, value string) error {
	if n, err := strconv.ParseInt(value, 10, 64); err != nil || n == 0 {
		return invalid(name, value, "Value must be at least 1, or -1 to keep records for ever")
	}
	return nil
}}

var replica = regexp.MustCompile(`^[0-9]+:[0-9]+$`)

var throttled = rule{"*, or PARTITION:BROKER, …", func(name, value string) error {
	strange := func(item string) bool { return !replica.MatchString(item) }
	if value != "*" && slices.ContainsFunc(splitList(value), strange) {
		return invalid(name, value, "want * or a list of PARTITION:BROKER")
	}
	return nil
}}

var noTieredStorage = rule{"false", func(name, value string) error {
	if strings.EqualFold(value, "true") {
		return invalid(name, value, "there is no tiered storage here")
	}
	return nil
}}
