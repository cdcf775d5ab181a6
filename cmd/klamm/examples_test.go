package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// commandLine finds klamm's commands in documents: at the start of a line, after
// a pipe, or in a cell of a table.
var commandLine = regexp.MustCompile("(?m)(?:^|\\| +|\\| `|^KLAMM_\\S+ )klamm ([a-z][^`|#>\n]*)")

// Every command that a document or a help text shows is one that there is, with
// flags that it has and as many arguments as it takes.
func TestExamplesAreWellFormed(t *testing.T) {
	var texts []string
	for _, path := range []string{guide, "../../README.md", "../../docs/guide/configuration.md", "../../docs/guide/operating.md", "../../docs/guide/security.md", "../../docs/guide/quotas.md", "../../test/data/flights/README.md"} {
		texts = append(texts, readText(t, path))
	}
	examples := commandLine.FindAllStringSubmatch(strings.Join(texts, "\n"), -1)
	if len(examples) < 40 {
		t.Fatalf("found only %d examples: the search is broken", len(examples))
	}
	for _, example := range examples {
		line := strings.TrimSpace(example[1])
		if strings.ContainsAny(line, "…[") { // the usage of a command
			continue
		}
		root := newRootCommand(&environment{out: os.Stdout, errOut: os.Stderr})
		root.InitDefaultCompletionCmd()
		cmd, rest, err := root.Find(words(line))
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil || !cmd.Runnable() {
			t.Errorf("klamm %s: %v", line, err)
		}
	}
}

// words splits a line as a shell does, where it has no more than single quotes.
func words(line string) []string {
	var all []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			all = append(all, part)
			continue
		}
		all = append(all, strings.Fields(part)...)
	}
	return all
}
