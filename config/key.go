package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
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
	Secret  Type = 9 // a value that nobody is shown
)

// String is the type's name, as it stands in error messages.
func (t Type) String() string {
	return [...]string{Boolean: "BOOLEAN", String: "STRING", Int: "INT", Short: "SHORT", Long: "LONG", Double: "DOUBLE", List: "LIST", Secret: "PASSWORD"}[t]
}

// bits are the sizes of the types that are whole numbers.
var bits = map[Type]int{Short: 16, Int: 32, Long: 64}

// key is one key: what it means and which values it takes.
type key struct {
	name     string
	kind     Type
	standard string // the default
	null     bool   // there is no default
	valid    rule
	doc      string
	unused   string // why nothing follows from it, where it is only shown
	dynamic  bool   // of a broker's key: may be set at run time
	// atRunTime is of a broker's key that is described only where it was set at run
	// time, and without its default, as Kafka does with quotas.
	atRunTime bool
	ofPlugin  bool   // of a broker's key: in Kafka a plug-in's own, which is described to nobody
	cluster   bool   // of a broker's key: for nodes of a cluster alone, that is with process.roles
	broker    string // of a topic's key: the broker's key that holds the default for topics
}

// check tells whether value is one that the key takes. The error says so in the
// words that Kafka's clients know.
func (k *key) check(value string) error {
	trimmed := strings.TrimSpace(value)
	if err := k.checkType(trimmed); err != nil {
		return err
	}
	if k.valid.check == nil {
		return nil
	}
	return k.valid.check(k.name, trimmed)
}

func (k *key) checkType(value string) error {
	var err error
	switch k.kind {
	case Boolean:
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return invalid(k.name, value, "Expected value to be either true or false")
		}
	case Int, Short, Long:
		_, err = strconv.ParseInt(value, 10, bits[k.kind])
	case Double:
		_, err = strconv.ParseFloat(value, 64)
	case List:
		if value != "" && len(splitList(value)) <= strings.Count(value, ",") {
			return invalid(k.name, value, "an item of the list is empty")
		}
	}
	if err != nil {
		return invalid(k.name, value, "Not a number of type "+k.kind.String())
	}
	return nil
}

// plain is a value that has passed check in the form in which it is shown: a
// client that wrote "+5" or "a, b" reads back "5" and "a,b".
func (k *key) plain(value string) string {
	value = strings.TrimSpace(value)
	switch k.kind {
	case Boolean:
		return strings.ToLower(value)
	case Int, Short, Long:
		return strings.TrimPrefix(value, "+")
	case Double:
		return plainDouble(value)
	case List:
		return strings.Join(splitList(value), ",")
	}
	return value
}

// plainDouble writes a double as Java does: always with a decimal point, and with
// an exponent where it is very large or very small.
func plainDouble(value string) string {
	f, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return value
	}
	if size := math.Abs(f); size >= 1e7 || size > 0 && size < 1e-3 {
		digits, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
		sign := strings.TrimPrefix(exponent[:1], "+")
		return withPoint(digits) + "E" + sign + strings.TrimLeft(exponent[1:], "0")
	}
	return withPoint(strconv.FormatFloat(f, 'f', -1, 64))
}

func withPoint(digits string) string {
	if strings.Contains(digits, ".") {
		return digits
	}
	return digits + ".0"
}

func invalid(name, value, why string) error {
	return fmt.Errorf("Invalid value %s for configuration %s: %s", value, name, why)
}

// splitList parts a list at its commas, without the white space around them.
func splitList(s string) []string {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func byName(keys []key) map[string]*key {
	m := make(map[string]*key, len(keys))
	for i := range keys {
		m[keys[i].name] = &keys[i]
	}
	return m
}

// IsList reports whether a key's value is a list, to which can be added.
func IsList(name string) bool {
	k := topicKeyByName[name]
	if k == nil {
		k = brokerKeyByName[name]
	}
	return k != nil && k.kind == List
}
