package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// Warning is something that was set and is not as its setter may think.
type Warning struct {
	Key  string
	Text string // says where it was set
}

// Load puts a broker's configuration together: from a server.properties file
// (none where file is empty), then from the environment, whose KLAMM_LOG_DIRS is
// log.dirs, then from sets of the form key=value. What comes later wins.
//
// Keys that are not known or have no effect are warned of and left out, as Kafka
// does; a key that asks for security which is not there is an error, and
// so is a value that its key does not take. The error names all that is wrong.
func Load(file string, environ, sets []string) (*Broker, []Warning, error) {
	all := settings{}
	if file != "" {
		if err := all.readFile(file); err != nil {
			return nil, nil, err
		}
	}
	for _, variable := range environ {
		all.readVariable(variable)
	}
	for _, set := range sets {
		name, value, ok := strings.Cut(set, "=")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, nil, fmt.Errorf("--set %q: want key=value, as in --set log.dirs=/var/lib/klamm", set)
		}
		all.set(strings.TrimSpace(name), value, "--set")
	}
	values, warnings, err := all.sift()
	if err != nil {
		return nil, warnings, err
	}
	b, err := newBroker(values)
	return b, warnings, err
}

// setting is a value and where it was set.
type setting struct{ value, where string }

// settings are what was set last for each name.
type settings map[string]setting

func (s settings) set(name, value, where string) {
	s[name] = setting{strings.TrimSpace(value), where}
}

func (s settings) readFile(file string) error {
	properties, err := ReadProperties(file)
	if err != nil {
		return err
	}
	for _, p := range properties {
		s.set(p.Name, p.Value, fmt.Sprintf("%s:%d", file, p.Line))
	}
	return nil
}

// ReadProperties reads a file in the format of java.util.Properties.
func ReadProperties(file string) ([]Property, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	all, err := parseProperties(raw)
	if err != nil {
		return nil, fmt.Errorf("read the configuration %s: %w", file, err)
	}
	return all, nil
}

// toolVariables are variables of the command line's other commands.
var toolVariables = map[string]bool{"KLAMM_BROKERS": true, "KLAMM_KAFKA": true}

// readVariable takes a variable like KLAMM_LOG_DIRS=/data. No key has an
// underscore in its name, so each stands for a dot. Our own keys need their
// "klamm." only once: KLAMM_LOG_LEVEL is klamm.log.level.
func (s settings) readVariable(variable string) {
	name, value, _ := strings.Cut(variable, "=")
	rest, ours := strings.CutPrefix(name, "KLAMM_")
	if !ours || toolVariables[name] {
		return
	}
	key := strings.ToLower(strings.ReplaceAll(rest, "_", "."))
	if own := "klamm." + key; brokerKeyByName[own] != nil {
		key = own
	}
	s.set(key, value, "environment variable "+name)
}

// sift parts what has an effect from what is warned of and what is refused.
func (s settings) sift() (values map[string]string, warnings []Warning, err error) {
	values = map[string]string{}
	alone := len(splitList(s["process.roles"].value)) == 0
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(s)) {
		is := s[name]
		text, err := is.judge(name, alone)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("%s: %w", is.where, err))
			continue
		case text != "":
			warnings = append(warnings, Warning{Key: name, Text: is.where + ": " + text})
		}
		if k := keyOf(name); k != nil && !is.unset(k) && !(alone && k.cluster) {
			values[name] = is.value
		}
	}
	return values, warnings, errors.Join(wrong...)
}

// unset reports whether a key was set to nothing, as an empty variable of the
// environment does, and nothing is no value of its type.
func (s setting) unset(k *key) bool {
	return s.value == "" && (k.null || k.kind != String && k.kind != List)
}

// check tells whether a key that is known takes the value.
func (s setting) check(k *key) error {
	if k == nil || s.unset(k) {
		return nil
	}
	return k.check(s.value)
}

// judge returns a warning's text, or why the setting cannot be accepted. alone
// says that the node is a cluster of its own.
func (s setting) judge(name string, alone bool) (warning string, err error) {
	k := keyOf(name)
	standard, unused := isUnused(name)
	why := whyUnused[name]
	switch {
	case k != nil && k.unused != "":
		standard, unused, why = k.standard, true, k.unused
	case k != nil && k.cluster && alone:
		standard, unused, why = k.standard, true, "without process.roles this node is a cluster of its own"
		k = nil // whatever the value, nothing follows from it
	}
	if why != "" {
		why = ": " + why
	}
	asked := s.value != "" && s.value != standard
	switch {
	case asked && isSecurity(name) && (k == nil || k.unused != ""):
		return "", fmt.Errorf("%s: this is not served, and a broker without it may be less safe than was asked for; remove the key to start without it", name)
	case asked && unused:
		return name + " has no effect here" + why, s.check(k)
	case k != nil || unused:
		return "", s.check(k)
	}
	if near := nearest(name); near != "" {
		return fmt.Sprintf("%q is not a known key; did you mean %s?", name, near), nil
	}
	return fmt.Sprintf("%q is not a known key", name), nil
}
