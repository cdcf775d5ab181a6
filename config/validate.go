package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ValidateTopic tells whether overrides may be set for a topic. An error wraps
// INVALID_CONFIG and says which key is wrong, and why.
func ValidateTopic(overrides map[string]string) error {
	if err := checkTopic(overrides); err != nil {
		return fmt.Errorf("%w: %w", err, kerr.InvalidConfig)
	}
	return nil
}

func checkTopic(overrides map[string]string) error {
	names := slices.Sorted(maps.Keys(overrides))
	for _, name := range names {
		if topicKeyByName[name] == nil {
			return fmt.Errorf("Unknown topic config name: %s", name)
		}
	}
	for _, name := range names {
		if err := topicKeyByName[name].check(overrides[name]); err != nil {
			return err
		}
	}
	return checkLags(overrides, "min.compaction.lag.ms", "max.compaction.lag.ms")
}

// checkLags makes sure that a record may be compacted before it must be.
func checkLags(values map[string]string, least, most string) error {
	if values[least] == "" || values[most] == "" {
		return nil // the defaults leave room for any other
	}
	a, _ := strconv.ParseInt(strings.TrimSpace(values[least]), 10, 64) // both have passed check
	b, _ := strconv.ParseInt(strings.TrimSpace(values[most]), 10, 64)
	if a > b {
		return fmt.Errorf("conflict topic config setting %s (%d) > %s (%d)", least, a, most, b)
	}
	return nil
}

// ValidateDynamicBroker tells whether configs may be set at run time, for one
// broker or for all alike. The defaults for topics may; keys that are not Kafka's are
// accepted and kept, as Kafka does for plugins that read them. All other keys
// are read when the broker starts, so to accept them would promise too much. An
// error wraps INVALID_REQUEST.
func ValidateDynamicBroker(configs map[string]string) error {
	if err := checkDynamic(configs); err != nil {
		return fmt.Errorf("%w: %w", err, kerr.InvalidRequest)
	}
	return nil
}

func checkDynamic(configs map[string]string) error {
	var fixed []string
	names := slices.Sorted(maps.Keys(configs))
	for _, name := range names {
		k := keyOf(name)
		if _, unused := isUnused(name); unused || k != nil && !k.dynamic {
			fixed = append(fixed, name)
		}
	}
	if len(fixed) > 0 {
		return fmt.Errorf("Cannot update these configs dynamically: [%s]", strings.Join(fixed, ", "))
	}
	for _, name := range names {
		if k := brokerKeyByName[name]; k != nil {
			if err := k.check(configs[name]); err != nil {
				return err
			}
		}
	}
	if err := checkCleaner(configs); err != nil {
		return err
	}
	return checkLags(configs, "log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms")
}
