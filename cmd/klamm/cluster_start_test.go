package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// The files that are written for the nodes fit together.
func TestFilesOfALocalCluster(t *testing.T) {
	dir := t.TempDir()
	for _, count := range []int{1, 2, 3, 5} {
		l := &localCluster{dir: filepath.Join(dir, strconv.Itoa(count)), count: count, port: 9092}
		if err := l.prepare(); err != nil {
			t.Fatal(err)
		}
		taken, clusters := map[string]bool{}, map[string]bool{}
		for i, n := range l.nodes {
			c, warnings, err := config.Load(n.file, nil, nil)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("%s: %v, %v", n.file, err, warnings)
			}
			for _, address := range []string{c.Listeners[0].Address(), c.ControllerListeners[0].Address(), c.HTTPListener} {
				if taken[address] {
					t.Errorf("%d nodes: two are at %s", count, address)
				}
				taken[address] = true
			}
			if c.Voters[i].Address() != c.ControllerListeners[0].Address() || int(c.NodeID) != i+1 || int(c.DefaultReplicationFactor) != min(3, count) {
				t.Errorf("%s: %+v", n.file, c)
			}
			is, err := log.ReadIdentity(disk.OS, c.LogDirs[0])
			if err != nil || is.NodeID != c.NodeID {
				t.Errorf("%s: %+v, error %v", n.name, is, err)
			}
			clusters[is.ClusterID] = true
		}
		if len(l.nodes) != count || len(clusters) != 1 {
			t.Errorf("%d nodes: there are %d of %d clusters", count, len(l.nodes), len(clusters))
		}
	}
	l := &localCluster{dir: filepath.Join(dir, "3"), count: 5, counted: true}
	if err := l.prepare(); err == nil || !strings.Contains(err.Error(), "has a cluster of 3 already") {
		t.Errorf("error %v", err)
	}
}

// A node whose folder is lost comes back as one of the same cluster.
func TestLostFolderOfALocalCluster(t *testing.T) {
	dir := t.TempDir()
	prepare := func() (ids []log.Identity) {
		l := &localCluster{dir: dir, count: 3, port: 9092}
		if err := l.prepare(); err != nil {
			t.Fatal(err)
		}
		for _, n := range l.nodes {
			is, err := log.ReadIdentity(disk.OS, n.config.LogDirs[0])
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, is)
		}
		return ids
	}
	before := prepare()
	if err := os.RemoveAll(filepath.Join(dir, "node-1")); err != nil {
		t.Fatal(err)
	}
	after := prepare()
	if after[0].ClusterID != before[0].ClusterID || after[0].DirectoryID == before[0].DirectoryID || after[1] != before[1] || after[2] != before[2] {
		t.Errorf("the folders were %v and are %v", before, after)
	}
}

// moveToFreePorts lets the nodes of a cluster that never ran have ports that are
// free here.
func moveToFreePorts(t *testing.T, dir string) {
	t.Helper()
	l := &localCluster{dir: dir, count: 3, port: 9092}
	if err := l.prepare(); err != nil {
		t.Fatal(err)
	}
	port := map[string]string{}
	var held []net.Listener
	for _, n := range l.nodes {
		for _, e := range append(n.config.Listeners, n.config.ControllerListeners...) {
			free, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, free)
			port[e.Address()] = free.Addr().String()
		}
		port[n.config.HTTPListener] = "127.0.0.1:0"
	}
	for _, free := range held {
		free.Close()
	}
	address := regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
	for _, n := range l.nodes {
		text, err := os.ReadFile(n.file)
		if err != nil {
			t.Fatal(err)
		}
		text = address.ReplaceAllFunc(text, func(at []byte) []byte { return []byte(port[string(at)]) })
		if err := os.WriteFile(n.file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// runningCluster is a `klamm cluster start` that runs.
type runningCluster struct {
	cmd    *exec.Cmd
	errOut bytes.Buffer // once it has ended
	serves string       // where it does, empty for not
	out    *bufio.Reader
}

func startCluster(t *testing.T, dir string, more ...string) *runningCluster {
	t.Helper()
	r := &runningCluster{cmd: exec.Command("klamm", append([]string{"cluster", "start", "--dir", dir}, more...)...)}
	r.cmd.Env = append(os.Environ(), "KLAMM_LOG_DIRS=/nowhere") // it is no node's
	r.cmd.Stderr = &r.errOut
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(processLimit, func() { _ = r.cmd.Process.Kill() })
	t.Cleanup(func() { limit.Stop() })
	r.out = bufio.NewReader(out)
	line, _ := r.out.ReadString('\n') // empty where it ends without
	r.serves = strings.TrimPrefix(strings.TrimSpace(line), "the cluster serves at ")
	return r
}

// pids are the nodes' processes.
func (r *runningCluster) pids(t *testing.T) (all []int) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^node-\d is process (\d+)$`).FindAllStringSubmatch(r.errOut.String(), -1) {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pid)
	}
	return all
}

// end waits for its end and makes sure that no node is left.
func (r *runningCluster) end(t *testing.T) error {
	t.Helper()
	err := r.cmd.Wait()
	pids := r.pids(t)
	if len(pids) != 3 {
		t.Errorf("nodes %v were started", pids)
	}
	for _, pid := range pids {
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("node %d is left", pid)
		}
	}
	return err
}

func TestClusterStart(t *testing.T) {
	dir := t.TempDir()
	moveToFreePorts(t, dir)
	r := startCluster(t, dir, "--set", "num.partitions=3")
	if strings.Count(r.serves, ",") != 2 {
		_ = r.cmd.Process.Kill()
		t.Fatalf("it serves at %q, error %v:\n%s", r.serves, r.end(t), r.errOut.String())
	}
	out, err := exec.Command("klamm", "topic", "create", "t", "--brokers", r.serves).CombinedOutput()
	if err != nil || string(out) != "topic t created: 3 partitions, 3 replicas\n" {
		t.Errorf("create a topic: %v\n%s", err, out)
	}
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := r.end(t); err != nil {
		t.Errorf("it ends with %v", err)
	}
	for i := range 3 {
		line := regexp.MustCompile(fmt.Sprintf(`(?m)^node-%d  time=.* msg="stopped in order"$`, i+1))
		if !line.Match(r.errOut.Bytes()) {
			t.Errorf("node %d did not stop in order:\n%s", i+1, r.errOut.String())
		}
	}
}

// A node that cannot start ends the others.
func TestClusterThatCannotStart(t *testing.T) {
	dir := t.TempDir()
	moveToFreePorts(t, dir)
	c, _, err := config.Load(filepath.Join(dir, "node-2.properties"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", c.Listeners[0].Address())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := startCluster(t, dir)
	if err := r.end(t); err == nil || r.serves != "" {
		t.Errorf("it serves at %s, and ends with %v", r.serves, err)
	}
	for _, want := range []string{"node-2  klamm: start the broker: listen on", "klamm: node-2 has ended before the cluster served: exit status 1; what it printed says why"} {
		if !strings.Contains(r.errOut.String(), want) {
			t.Errorf("%q is not said:\n%s", want, r.errOut.String())
		}
	}
}
