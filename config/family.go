package config

import (
	"slices"
	"strconv"
	"strings"
)

// member is one of several keys of a broker that set the same thing.
type member struct {
	name string
	unit int64 // how many of the first member's units one of this is; 0 where there is no family
}

const (
	minute = 60_000 // in milliseconds
	hour   = 60 * minute
)

// families are keys that set the same thing, the one that goes first before
// those that stand in for it.
var families = [][]member{
	{{"log.retention.ms", 1}, {"log.retention.minutes", minute}, {"log.retention.hours", hour}},
	{{"log.roll.ms", 1}, {"log.roll.hours", hour}},
	{{"log.roll.jitter.ms", 1}, {"log.roll.jitter.hours", hour}},
	{{"log.flush.interval.ms", 1}, {"log.flush.scheduler.interval.ms", 1}},
}

// familyOf returns all keys that set the same thing as name. The scheduler's
// interval is a family of its own too, for it also sets something else in Kafka.
func familyOf(name string) []member {
	for _, family := range families {
		if name != "log.flush.scheduler.interval.ms" && slices.ContainsFunc(family, func(m member) bool { return m.name == name }) {
			return family
		}
	}
	return []member{{name: name}}
}

// convert turns a value into the unit of the family's first member. A negative
// time is for ever in all of them.
func (m member) convert(value string) string {
	if m.unit == 0 {
		return value
	}
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	switch {
	case err != nil:
		return value
	case n < 0:
		return "-1"
	}
	return strconv.FormatInt(n*m.unit, 10)
}
