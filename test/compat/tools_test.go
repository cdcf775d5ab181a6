//go:build compat

package compat

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/toolbox"
)

// TestApacheTools runs the sessions of testdata/tools, in order of their names,
// with Apache's tools: first against Klamm, then against Apache Kafka. Both must
// answer with the very same words. What -rewrite writes down is Apache Kafka's.
//
//	run [sorted]     one tool, as its script is called, but for --bootstrap-server;
//	                 further lines are its standard input, FILE{…} a file with {…}
//	ask [sorted]     the same, of what Apache Kafka may know only a moment later
//	shape            a tool whose figures differ: each number is N
//	klamm            what only Klamm is asked, as the two differ there
//	join, leave      a member of group g, which reads topic t, comes and goes
func TestApacheTools(t *testing.T) {
	box := tools(t)
	paths, err := filepath.Glob("testdata/tools/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d sessions: %v", len(paths), err)
	}
	for _, start := range []func(brokers.Options) (*brokers.Broker, error){brokers.Klamm, brokers.Apache} {
		b, err := start(brokers.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Run(b.Name, func(t *testing.T) {
			startBroker(t, b)
			for _, path := range paths {
				t.Run(filepath.Base(path), func(t *testing.T) {
					s := &session{box: box, broker: b}
					t.Cleanup(s.leave)
					datadriven.RunTest(t, path, s.step)
				})
			}
		})
	}
}

// tools returns the machine that all tests share; one test uses it at a time.
func tools(t *testing.T) *toolbox.Box {
	t.Helper()
	box, err := toolbox.Open()
	needs(t, "Apache's tools", err)
	return box
}

// startBroker starts b, and stops it when the test ends.
func startBroker(t *testing.T, b *brokers.Broker) {
	t.Helper()
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// session is one file of steps against one broker.
type session struct {
	box    *toolbox.Box
	broker *brokers.Broker
	member *kgo.Client // nil while none has joined
}

// patience is how long Apache Kafka may take until a change is seen everywhere.
const patience = 20 * time.Second

func (s *session) step(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "run":
		return s.tool(t, d)
	case "ask":
		return s.ask(t, d)
	case "shape":
		return shape(s.tool(t, d))
	case "klamm":
		if s.broker.Name != "klamm" {
			return d.Expected
		}
		return s.tool(t, d)
	case "join":
		s.join(t)
		return ""
	case "leave":
		s.leave()
		return ""
	}
	d.Fatalf(t, "unknown step %s", d.Cmd)
	return ""
}

// ask lets Apache Kafka try again until it answers as expected.
func (s *session) ask(t *testing.T, d *datadriven.TestData) string {
	deadline := time.Now().Add(patience)
	for {
		answer := s.tool(t, d)
		if s.broker.Name == "klamm" || answer == d.Expected || d.Rewrite || time.Now().After(deadline) {
			return answer
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *session) tool(t *testing.T, d *datadriven.TestData) string {
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
		args = append(args, "--bootstrap-server", s.broker.Addr)
	} else {
		args = append([]string{"--bootstrap-server", s.broker.Addr}, args...)
	}
	printed, status, err := s.box.Run(name, input, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines := s.normal(printed)
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

// normal returns the lines of what a tool printed without what differs from run
// to run: addresses, ids, folders, stack traces. Apache Kafka sets
// min.insync.replicas for the whole cluster when it is formatted; that goes too.
func (s *session) normal(printed string) []string {
	host, port, _ := strings.Cut(s.broker.Addr, ":")
	printed = strings.NewReplacer(s.broker.Addr, "BROKER", host+" "+port, "BROKER", s.broker.Data, "DATA").Replace(printed)
	printed = topicID.ReplaceAllString(printed, "TopicId: ID")
	printed = clusterID.ReplaceAllString(printed, "Cluster ID: ID")
	printed = measured.ReplaceAllString(printed, `"$1":N`)
	printed = clientID.ReplaceAllString(printed, "-UUID")
	var lines []string
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

// shape returns the last line of what a tool printed, and any word on failure,
// with N for each number.
func shape(printed string) string {
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	return number.ReplaceAllString(lines[len(lines)-1], "N") + "\n"
}

// join lets a member join and waits until it has its partitions.
func (s *session) join(t *testing.T) {
	t.Helper()
	assigned := make(chan struct{})
	client, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Addr), kgo.ClientID("watcher"), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"),
		kgo.Balancers(kgo.RangeBalancer()), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { close(assigned) }))
	if err != nil {
		t.Fatal(err)
	}
	s.member = client
	select {
	case <-assigned:
	case <-time.After(time.Minute):
		t.Fatal("the member got no partitions in a minute")
	}
}

func (s *session) leave() {
	if s.member != nil {
		s.member.Close()
		s.member = nil
	}
}
