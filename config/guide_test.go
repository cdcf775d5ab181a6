package config

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the tables of docs/guide/configuration.md")

const guide = "../docs/guide/configuration.md"

// The guide's tables lie between marks that name them; the text around them is
// written by hand.
func TestGuideHasTheTables(t *testing.T) {
	raw, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for name, table := range map[string]string{
		"broker":    brokerTable(func(k *key) bool { return k.unused == "" && !isOwn(k) && !k.cluster }),
		"cluster":   brokerTable(func(k *key) bool { return k.cluster }),
		"own":       brokerTable(isOwn),
		"topic":     topicTable(),
		"group":     groupTable(),
		"no effect": noEffectList(),
	} {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
		before, rest, found := strings.Cut(text, begin)
		_, after, ended := strings.Cut(rest, end)
		if !found || !ended {
			t.Fatalf("%s has no table %q", guide, name)
		}
		text = before + begin + table + end + after
	}
	if text == string(raw) {
		return
	}
	if !*rewrite {
		t.Fatalf("%s does not have what the tables have; go test ./config -run Guide -rewrite writes it", guide)
	}
	if err := os.WriteFile(guide, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func isOwn(k *key) bool { return strings.HasPrefix(k.name, "klamm.") }

func brokerTable(in func(*key) bool) string {
	var out strings.Builder
	out.WriteString("\n| key | type | default | takes | at run time | what it does |\n|---|---|---|---|---|---|\n")
	for i := range brokerKeys {
		k := &brokerKeys[i]
		if !in(k) {
			continue
		}
		dynamic := ""
		if k.dynamic {
			dynamic = "yes"
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s | %s |\n", k.name, strings.ToLower(k.kind.String()), cell(k), k.valid.takes, dynamic, k.doc)
	}
	return out.String() + "\n"
}

func topicTable() string {
	var out strings.Builder
	out.WriteString("\n| key | type | default | takes | broker's key | what it does |\n|---|---|---|---|---|---|\n")
	for i := range topicKeys {
		k := &topicKeys[i]
		var brokers []string
		for _, f := range familyOf(k.broker) {
			if f.name != "" {
				brokers = append(brokers, "`"+f.name+"`")
			}
		}
		doc := k.doc
		if k.unused != "" {
			doc += " **No effect**: " + k.unused + "."
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s | %s |\n", k.name, strings.ToLower(k.kind.String()), cell(k), k.valid.takes, strings.Join(brokers, ", "), doc)
	}
	return out.String() + "\n"
}

func cell(k *key) string {
	switch {
	case k.null:
		return "none"
	case k.standard == "":
		return "empty"
	}
	return "`" + k.standard + "`"
}

func groupTable() string {
	var out strings.Builder
	out.WriteString("\n| key | type | default of | what it does |\n|---|---|---|---|\n")
	for i := range groupKeys {
		k := &groupKeys[i]
		fmt.Fprintf(&out, "| `%s` | %s | `%s` | %s |\n", k.name, strings.ToLower(k.kind.String()), k.broker, k.doc)
	}
	return out.String() + "\n"
}

func noEffectList() string {
	all := maps.Clone(unusedKeys)
	for _, k := range brokerKeys {
		if k.unused != "" {
			all[k.name] = k.standard
		}
	}
	for name := range removedKeys {
		all[name] = ""
	}
	var out strings.Builder
	out.WriteString("\n")
	group := ""
	for _, name := range slices.Sorted(maps.Keys(all)) {
		first, _, _ := strings.Cut(name, ".")
		if first != group {
			if group != "" {
				out.WriteString("\n")
			}
			out.WriteString("- ")
			group = first
		} else {
			out.WriteString(",\n  ")
		}
		out.WriteString("`" + name + "`")
	}
	return out.String() + "\n\n"
}
