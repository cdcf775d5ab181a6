package config

import (
	"fmt"
	"os"
	"strings"
)

// Warning is something that was set and is not as its setter may think.
type Warning struct {
	Key  string
	Text string
}

// Load puts a broker's configuration together: from a server.properties file
// (none where file is empty), then from the environment, whose KLAMM_LOG_DIRS is
// log.dirs, then from sets of the form key=value. What comes later wins.
func Load(file string, environ, sets []string) (*Broker, []Warning, error) {
	l := loading{values: map[string]string{}}
	if file != "" {
		if err := l.readFile(file); err != nil {
			return nil, nil, err
		}
	}
	for _, variable := range environ {
		l.readVariable(variable)
	}
	for _, set := range sets {
		name, value, ok := strings.Cut(set, "=")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, nil, fmt.Errorf("--set %q: want key=value, as in --set log.dirs=/var/lib/klamm", set)
		}
		l.set(strings.TrimSpace(name), value, "--set")
	}
	if len(l.refused) > 0 {
		return nil, nil, fmt.Errorf("%s: security is not served yet; remove the key to start without it", strings.Join(l.refused, ", "))
	}
	b, err := newBroker(l.values)
	return b, l.warnings, err
}

type loading struct {
	values   map[string]string
	warnings []Warning
	refused  []string
}

func (l *loading) readFile(file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	properties, err := parseProperties(string(raw))
	if err != nil {
		return fmt.Errorf("read the configuration %s: %w", file, err)
	}
	for _, p := range properties {
		l.set(p.name, p.value, fmt.Sprintf("%s:%d", file, p.line))
	}
	return nil
}

// toolVariables are variables of the command line's other commands.
var toolVariables = map[string]bool{"KLAMM_BROKERS": true, "KLAMM_KAFKA": true}

func (l *loading) readVariable(variable string) {
	name, value, _ := strings.Cut(variable, "=")
	rest, ours := strings.CutPrefix(name, "KLAMM_")
	if !ours || toolVariables[name] {
		return
	}
	key := strings.ToLower(strings.ReplaceAll(rest, "_", "."))
	if _, known := brokerKeyByName["klamm."+key]; known {
		key = "klamm." + key
	}
	l.set(key, value, "environment variable "+name)
}

func (l *loading) set(name, value, where string) {
	switch _, known := brokerKeyByName[name]; {
	case known:
		l.values[name] = strings.TrimSpace(value)
	case isRefused(name):
		l.refused = append(l.refused, fmt.Sprintf("%s (%s)", name, where))
	case isInert(name):
		l.warn(name, "%s: has no effect here", where)
	default:
		text := "%s: is not a known key"
		if near := nearest(name); near != "" {
			text += "; did you mean " + near + "?"
		}
		l.warn(name, text, where)
	}
}

func (l *loading) warn(key, format string, args ...any) {
	l.warnings = append(l.warnings, Warning{Key: key, Text: fmt.Sprintf(format, args...)})
}

// nearest returns the known key that is most like name, if any is like it.
func nearest(name string) string {
	best, distance := "", 4
	for i := range brokerKeys {
		if d := editDistance(name, brokerKeys[i].name); d < distance {
			best, distance = brokerKeys[i].name, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions and changes of a byte that make
// b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
