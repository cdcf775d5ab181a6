package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Type is the type of a key's value, numbered as DescribeConfigs does.
type Type int8

// Types, numbered as in Kafka's ConfigDef.
const (
	Boolean Type = 1
	String  Type = 2
	Int     Type = 3
	Short   Type = 4
	Long    Type = 5
	Double  Type = 6
	List    Type = 7
)

// key is one key: what it means and which values it takes.
type key struct {
	name     string
	kind     Type
	standard string // the default
	null     bool   // there is no default
	valid    func(string) error
	doc      string
	dynamic  bool   // may be set at run time
	broker   string // of a topic's key: the broker's key that holds the default for topics
}

// check tells whether value is one that the key takes.
func (k *key) check(value string) error {
	var err error
	switch trimmed := strings.TrimSpace(value); k.kind {
	case Boolean:
		if !slices.Contains([]string{"true", "false"}, strings.ToLower(trimmed)) {
			err = errors.New("Expected value to be either true or false")
		}
	case Int:
		_, err = parseNumber(trimmed, 32)
	case Short:
		_, err = parseNumber(trimmed, 16)
	case Long:
		_, err = parseNumber(trimmed, 64)
	case Double:
		if _, parse := strconv.ParseFloat(trimmed, 64); parse != nil {
			err = errors.New("Not a number of type DOUBLE")
		}
	}
	if err == nil && k.valid != nil {
		err = k.valid(strings.TrimSpace(value))
	}
	if err != nil {
		return fmt.Errorf("Invalid value %s for configuration %s: %w: %w", value, k.name, err, kerr.InvalidConfig)
	}
	return nil
}

func parseNumber(s string, bits int) (int64, error) {
	n, err := strconv.ParseInt(s, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("Not a number of type %s", map[int]string{16: "SHORT", 32: "INT", 64: "LONG"}[bits])
	}
	return n, nil
}

// Ranges and choices. Their texts are what a client reads after the key's name.

func atLeast(least int64) func(string) error { return between(least, math.MaxInt64) }

func between(least, most int64) func(string) error {
	return func(s string) error {
		switch n, err := strconv.ParseInt(s, 10, 64); {
		case err != nil:
			return err
		case n < least:
			return fmt.Errorf("Value must be at least %d", least)
		case n > most:
			return fmt.Errorf("Value must be no more than %d", most)
		}
		return nil
	}
}

func ratio(s string) error {
	if f, err := strconv.ParseFloat(s, 64); err != nil || f < 0 || f > 1 {
		return errors.New("Value must be between 0 and 1")
	}
	return nil
}

func oneOf(choices ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(choices, s) {
			return fmt.Errorf("String must be one of: %s", strings.Join(choices, ", "))
		}
		return nil
	}
}

func listOf(choices ...string) func(string) error {
	return func(s string) error {
		for _, item := range splitList(s) {
			if !slices.Contains(choices, item) {
				return fmt.Errorf("String must be one of: %s", strings.Join(choices, ", "))
			}
		}
		return nil
	}
}

// gzipLevel is -1 for the codec's own choice, or 1 to 9.
func gzipLevel(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n != -1 && (n < 1 || n > 9) {
		return errors.New("Value must be between 1 and 9 or equal to -1")
	}
	return nil
}

func splitList(s string) []string {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
