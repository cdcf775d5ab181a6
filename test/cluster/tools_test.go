//go:build cluster

package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/toolbox"
)

// TestApacheTools runs the sessions of testdata/tools, in order of their names, with
// Apache's tools against a cluster. What -rewrite writes down should be Apache
// Kafka's words (KLAMM_CLUSTER_BROKER=apache); Klamm answers with the very same.
//
//	run              one tool, as its script is called, but for --bootstrap-server;
//	                 FILE{…} is a file with {…}
//	ask              the same, of what may be so only a moment later
//	shape            a tool whose figures differ: each number is N
//	kill, start      a node, and wait until the cluster knows
//	produce          records to a topic's partition 0
func TestApacheTools(t *testing.T) {
	box, err := toolbox.Open()
	if errors.Is(err, brokers.ErrNoJava) && os.Getenv("CI") != "true" {
		t.Skip("left out: ", err)
	}
	must(t, err)
	paths, err := filepath.Glob("testdata/tools/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d sessions: %v", len(paths), err)
	}
	c := startCluster(t, map[string]string{"auto.leader.rebalance.enable": "false"})
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			s := newSession(box, c)
			datadriven.RunTest(t, path, s.step)
		})
	}
}

// session is one file of steps.
type session struct {
	tools   toolbox.Session
	cluster *brokers.Cluster
}

func newSession(box *toolbox.Box, c *brokers.Cluster) *session {
	var names []string
	for _, n := range c.Nodes {
		host, port, _ := strings.Cut(n.Addr, ":")
		_, controllerPort, _ := strings.Cut(n.Controller, ":")
		name := fmt.Sprintf("NODE%d", n.ID)
		names = append(names, n.Addr, name, host+" "+port, name, n.Controller, "CONTROLLER"+strconv.Itoa(int(n.ID)),
			controllerPort, "PORT"+strconv.Itoa(int(n.ID)), n.Data, fmt.Sprintf("DATA%d", n.ID))
	}
	return &session{toolbox.Session{Box: box, Bootstrap: strings.Join(c.Seeds(), ","), Names: strings.NewReplacer(names...)}, c}
}

func (s *session) step(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "run":
		return s.run(t, d)
	case "ask":
		return s.ask(t, d)
	case "shape":
		return shape(s.run(t, d))
	case "kill":
		s.kill(t, s.node(t, d))
	case "start":
		must(t, s.node(t, d).Start(t.Context()))
		awaitInSync(t, s.cluster)
	case "produce":
		s.produce(t, d)
	default:
		d.Fatalf(t, "unknown step %s", d.Cmd)
	}
	return ""
}

var (
	spaces    = regexp.MustCompile(` +`)
	directory = regexp.MustCompile(`\t[\w-]{22}\t`)
)

// shape returns what a tool printed with N for each number, however wide, and without
// the ids of folders, which Kafka tells only of voters that may change.
func shape(printed string) string {
	return spaces.ReplaceAllString(directory.ReplaceAllString(toolbox.Shape(printed), "\tDIRECTORY\t"), " ")
}

var (
	inSync           = regexp.MustCompile(`Isr: [\d,]+`)
	activeController = regexp.MustCompile(`Local controller \d`)
)

// run returns what a tool printed without what differs from run to run: the order of
// those in sync, too, is that in which they came to be.
func (s *session) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	for _, n := range s.cluster.Nodes {
		d.Input = strings.ReplaceAll(d.Input, fmt.Sprintf("DATA%d", n.ID), n.Data)
	}
	printed := inSync.ReplaceAllStringFunc(s.tools.Run(t, d), func(list string) string {
		ids := strings.Split(strings.TrimPrefix(list, "Isr: "), ",")
		slices.Sort(ids)
		return "Isr: " + strings.Join(ids, ",")
	})
	return activeController.ReplaceAllString(printed, "Local controller N")
}

// ask tries again until a tool answers as expected; what is written down anew has
// had some time.
func (s *session) ask(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	const limit = 20 * time.Second
	if d.Rewrite {
		time.Sleep(3 * time.Second)
	}
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		answer := s.run(t, d)
		if answer == d.Expected || d.Rewrite || time.Now().After(deadline) {
			return answer
		}
	}
}

func (s *session) node(t *testing.T, d *datadriven.TestData) *brokers.Node {
	t.Helper()
	id, err := strconv.Atoi(strings.TrimSpace(d.Input))
	must(t, err)
	return s.cluster.Node(int32(id))
}

// kill waits until the others know that the node is gone.
func (s *session) kill(t *testing.T, n *brokers.Node) {
	t.Helper()
	must(t, n.Kill())
	awaitForgotten(t, s.cluster, n)
}

func (s *session) produce(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	topic, count, _ := strings.Cut(strings.TrimSpace(d.Input), " ")
	n, err := strconv.Atoi(count)
	must(t, err)
	produceKeys(t, s.cluster, protocol.TopicPartition{Topic: topic}, n)
}
