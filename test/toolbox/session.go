package toolbox

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// Session is a transcript of tools at work on some brokers.
type Session struct {
	Box       *Box
	Bootstrap string            // what the tools get as --bootstrap-server
	Names     *strings.Replacer // turns what differs from run to run into names: addresses, folders
}

// Run runs the tool that a step of a transcript names, as its script is called, but
// for --bootstrap-server: further lines are its standard input, FILE{…} is a file with
// {…}. It returns what the tool printed without what differs from run to run, sorted
// where the step asks for that.
func (s Session) Run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	line, input, _ := strings.Cut(d.Input, "\n")
	name, rest, _ := strings.Cut(line, " ")
	args := strings.Fields(rest)
	for i, arg := range args {
		if content, is := strings.CutPrefix(arg, "FILE"); is {
			args[i] = filepath.Join(t.TempDir(), "input.json")
			if err := os.WriteFile(args[i], []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if name == "cluster" { // its first word is what to do
		args = append(args, "--bootstrap-server", s.Bootstrap)
	} else {
		args = append([]string{"--bootstrap-server", s.Bootstrap}, args...)
	}
	printed, status, err := s.Box.Run(name, input, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines := s.lines(printed)
	if d.HasArg("sorted") {
		slices.Sort(lines)
	}
	if status != 0 {
		lines = append(lines, fmt.Sprintf("(exit status %d)", status))
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

var (
	topicID   = regexp.MustCompile(`TopicId: \S{22}`)
	clusterID = regexp.MustCompile(`Cluster ID: \S{22}`)
	measured  = regexp.MustCompile(`"(timestamp|avg_throughput)":[\d.E]+`)
	clientID  = regexp.MustCompile(`-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	number    = regexp.MustCompile(`\d+([.,]\d+)*`)
	elr       = regexp.MustCompile(`min\.insync\.replicas=1(,| sensitive=false synonyms=\{DYNAMIC_DEFAULT_BROKER_CONFIG:min\.insync\.replicas=1\}|$)`)
)

// lines returns the lines of what a tool printed without what differs from run to
// run: names, ids, stack traces. Apache Kafka sets min.insync.replicas for the whole
// cluster when it is formatted; that goes too.
func (s Session) lines(printed string) (lines []string) {
	printed = s.Names.Replace(printed)
	printed = topicID.ReplaceAllString(printed, "TopicId: ID")
	printed = clusterID.ReplaceAllString(printed, "Cluster ID: ID")
	printed = measured.ReplaceAllString(printed, `"$1":N`)
	printed = clientID.ReplaceAllString(printed, "-UUID")
	for line := range strings.Lines(strings.ReplaceAll(printed, "DYNAMIC_DEFAULT_BROKER_CONFIG:min.insync.replicas=1, ", "")) {
		line = strings.TrimRight(line, " \t\n")
		trimmed := strings.TrimSpace(elr.ReplaceAllString(line, ""))
		trace := strings.HasPrefix(line, "\tat ") || strings.HasPrefix(line, "\t... ") || strings.HasPrefix(line, "Caused by: ")
		if line == "" || trimmed == "" || trace {
			continue
		}
		lines = append(lines, strings.TrimRight(elr.ReplaceAllString(line, ""), " "))
	}
	return lines
}

// LastShape returns the last line of what a tool printed, and any word on failure,
// with N for each number.
func LastShape(printed string) string {
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	return Shape(lines[len(lines)-1]) + "\n"
}

// Shape returns what a tool printed with N for each number.
func Shape(printed string) string { return number.ReplaceAllString(printed, "N") }
