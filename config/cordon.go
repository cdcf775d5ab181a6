package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// cordonedKey names folders that get no new partitions (KIP-1066).
const cordonedKey = "cordoned.log.dirs"

// Cordoned are the folders of log.dirs that get no new partitions, by what was set at
// run time for this broker over its own settings.
func (b *Broker) Cordoned(set map[string]string) []string {
	list, is := set[cordonedKey]
	if !is {
		list = b.value(cordonedKey)
	}
	if strings.TrimSpace(list) == "*" {
		return b.LogDirs
	}
	return splitList(list)
}

// CordonsAll reports whether no folder is left for new partitions.
func (b *Broker) CordonsAll(set map[string]string) bool {
	cordoned := b.Cordoned(set)
	return !slices.ContainsFunc(b.LogDirs, func(dir string) bool { return !slices.Contains(cordoned, dir) })
}

// CheckCordoned says why a value of cordoned.log.dirs is none of this broker's: it
// names folders that log.dirs does not, or all and some.
func (b *Broker) CheckCordoned(list string) error {
	items := splitList(list)
	if len(items) > 1 && slices.Contains(items, "*") {
		return errors.New("requirement failed: When cordoned.log.dirs is set to *, it must not contain other values")
	}
	missing := slices.DeleteFunc(items, func(dir string) bool { return dir == "*" || slices.Contains(b.LogDirs, dir) })
	if len(missing) > 0 {
		return fmt.Errorf("requirement failed: All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : %s",
			strings.Join(missing, ", "))
	}
	return nil
}

// OfOneBroker are those among the keys that may be set at run time for one broker and
// not for all.
func OfOneBroker(keys map[string]string) (names []string) {
	if _, set := keys[cordonedKey]; set {
		names = append(names, cordonedKey)
	}
	return names
}
