package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// exitsWith is `exit CODE program [args…]`.
func exitsWith(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE program [args…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var ended *exec.ExitError
		if !errors.As(err, &ended) {
			ts.Fatalf("%v", err)
		}
		got = ended.ExitCode()
	}
	if got != want {
		ts.Fatalf("it exits with %d, not with %d", got, want)
	}
}

// masks hide what differs from run to run.
var masks = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`klamm-[0-9a-f-]{36}`), "MEMBER-ID"},
	{regexp.MustCompile(`\b[A-Za-z0-9_-]{22}(\s|"|$)`), "TOPIC-ID$1"},
	{regexp.MustCompile(`127\.0\.0\.1:\d{4,5}`), "ADDRESS"},
	{regexp.MustCompile(`in [0-9.]+ s: .*`), "in TIME"},
}

// maskOutput is `mask`: stdout and stderr of the last command without what
// differs from run to run.
func maskOutput(ts *testscript.TestScript, _ bool, _ []string) {
	hide := func(text string) string {
		for _, mask := range masks {
			text = mask.from.ReplaceAllString(text, mask.to)
		}
		return strings.ReplaceAll(text, ts.Getenv("WORK"), "$WORK")
	}
	out, errOut := hide(ts.ReadFile("stdout")), hide(ts.ReadFile("stderr"))
	fmt.Fprint(ts.Stdout(), out)
	fmt.Fprint(ts.Stderr(), errOut)
}

// awaitOutput is `await PATTERN program [args…]`: it runs the program again and
// again until its output matches.
func awaitOutput(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await PATTERN program [args…]")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for started := time.Now(); time.Since(started) < processLimit; time.Sleep(10 * time.Millisecond) {
		if ts.Exec(args[1], args[2:]...) == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("%s does not come after %s", args[0], processLimit)
}

// flipByteOf is `flip FILE POSITION`: it damages one byte of a file.
func flipByteOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE POSITION")
	}
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := []byte(ts.ReadFile(args[0]))
	text[at] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o644))
}

// areDrawn is `drawn FOLDER`: every file in it must be one that the description
// of the formats names.
func areDrawn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: drawn FOLDER")
	}
	page, err := os.ReadFile("../../docs/formats/log-files.md")
	ts.Check(err)
	numbered := regexp.MustCompile(`^[0-9]{20}(\.[a-z]+)$`)
	seen := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		seen++
		name := entry.Name()
		if m := numbered.FindStringSubmatch(name); m != nil {
			name = m[1]
		}
		if !strings.Contains(string(page), "| `"+name+"` |") && !strings.Contains(string(page), "── "+name+" ") {
			return fmt.Errorf("%s is not described", path)
		}
		return nil
	}))
	if seen == 0 {
		ts.Fatalf("%s has no files", args[0])
	}
}
