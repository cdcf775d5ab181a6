package main

import (
	"os"
	"strings"
	"testing"
)

// TestReadmeIsTried finds each line of the README's first session in the script
// that runs it.
func TestReadmeIsTried(t *testing.T) {
	readme, script := readText(t, "../../README.md"), readText(t, "../../test/script/flights.txtar")
	tried := 0
	for line := range strings.Lines(readme) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "klamm ") || strings.Contains(line, "serve") {
			continue
		}
		tried++
		if !strings.Contains(script, line+"\n") && !strings.Contains(script, line+"'\n") {
			t.Errorf("test/script/flights.txtar does not run %q", line)
		}
	}
	if tried != 3 || !strings.Contains(readme, "336,776") {
		t.Errorf("the README has %d lines with klamm and the flights, want 3 and 336,776", tried)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
