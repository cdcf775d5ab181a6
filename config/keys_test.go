package config

import (
	"slices"
	"strings"
	"testing"
)

func names(keys []key) []string {
	var all []string
	for _, k := range keys {
		all = append(all, k.name)
	}
	return all
}

func TestTablesAreInOrder(t *testing.T) {
	for _, table := range [][]key{brokerKeys, topicKeys} {
		all := names(table)
		if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
			t.Errorf("not sorted, or a key is there twice: %v", all)
		}
		for _, k := range table {
			if !k.null {
				if err := k.check(k.standard); err != nil {
					t.Errorf("the default: %v", err)
				}
			}
			if !strings.HasSuffix(k.doc, ".") {
				t.Errorf("%s: the doc is %q; want a sentence", k.name, k.doc)
			}
		}
	}
}

// What a topic has by default is what the broker's key says.
func TestTopicDefaultsAreTheBrokers(t *testing.T) {
	b := load(t)
	for i := range topicKeys {
		k := &topicKeys[i]
		if k.broker == "" {
			continue
		}
		holder := brokerKeyByName[k.broker]
		if holder == nil {
			t.Errorf("%s: there is no key %s", k.name, k.broker)
			continue
		}
		if holder.kind != k.kind || !holder.null && holder.standard != k.standard {
			t.Errorf("%s is %v %q, %s is %v %q", k.name, k.kind, k.standard, holder.name, holder.kind, holder.standard)
		}
		if got := b.topicValue(k, nil, nil); got != k.standard {
			t.Errorf("%s resolves to %q, want %q", k.name, got, k.standard)
		}
		if holder.unused != k.unused {
			t.Errorf("%s has no effect because %q, %s because %q", k.name, k.unused, holder.name, holder.unused)
		}
		if k.unused == "" && !holder.dynamic {
			t.Errorf("%s cannot be set at run time", holder.name)
		}
	}
}

func TestIsList(t *testing.T) {
	for name, want := range map[string]bool{"cleanup.policy": true, "log.dirs": true, "log.cleanup.policy": true, "retention.ms": false, "num.partitions": false, "nonsense": false} {
		if got := IsList(name); got != want {
			t.Errorf("IsList(%q) = %v", name, got)
		}
	}
}

// A client reads back a value in the form that Kafka shows.
func TestPlainValues(t *testing.T) {
	for _, c := range []struct {
		kind        Type
		value, want string
	}{
		{Boolean, " TRUE", "true"}, {Int, "+5", "5"}, {Long, " -5 ", "-5"}, {Double, ".25", "0.25"}, {Double, "1", "1.0"},
		{Double, "1.7976931348623157e308", "1.7976931348623157E308"}, {Double, "10000000", "1.0E7"}, {Double, "-0.00025", "-2.5E-4"}, {Double, "9999999", "9999999.0"},
		{List, " a , b", "a,b"}, {List, "", ""}, {String, " a b ", "a b"},
	} {
		if got := (&key{kind: c.kind}).plain(c.value); got != c.want {
			t.Errorf("%v %q is shown as %q, want %q", c.kind, c.value, got, c.want)
		}
	}
}
