//go:build compat

package compat

import (
	"context"
	"path/filepath"
	"regexp"
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
//	klamm            what only Klamm is asked, as the two differ there; the epoch of
//	                 feature levels, which is an offset of the metadata, is N
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
					s := newSession(box, b)
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
	tools  toolbox.Session
	broker *brokers.Broker
	member *kgo.Client // nil while none has joined
}

func newSession(box *toolbox.Box, b *brokers.Broker) *session {
	host, port, _ := strings.Cut(b.Addr, ":")
	names := strings.NewReplacer(b.Addr, "BROKER", host+" "+port, "BROKER", b.Data, "DATA")
	return &session{tools: toolbox.Session{Box: box, Bootstrap: b.Addr, Names: names}, broker: b}
}

var metadataEpoch = regexp.MustCompile(`Epoch: [0-9]+`)

// patience is how long Apache Kafka may take until a change is seen everywhere.
const patience = 20 * time.Second

func (s *session) step(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "run":
		return s.tools.Run(t, d)
	case "ask":
		return s.ask(t, d)
	case "shape":
		return toolbox.LastShape(s.tools.Run(t, d))
	case "klamm":
		if s.broker.Name != "klamm" {
			return d.Expected
		}
		return metadataEpoch.ReplaceAllString(s.tools.Run(t, d), "Epoch: N")
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
		answer := s.tools.Run(t, d)
		if s.broker.Name == "klamm" || answer == d.Expected || d.Rewrite || time.Now().After(deadline) {
			return answer
		}
		time.Sleep(100 * time.Millisecond)
	}
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
