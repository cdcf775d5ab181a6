package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run this very binary under the name klamm.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"klamm": func() { os.Exit(run()) }})
}

// TestScript runs the tool as people do, against a broker that is a process of
// its own. test/script/README.md says which commands scripts have.
func TestScript(t *testing.T) {
	flights, err := filepath.Abs("../../test/data/flights")
	if err != nil {
		t.Fatal(err)
	}
	configs, err := filepath.Abs("../../config/testdata/kafka-4.3.1")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "../../test/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("FLIGHTS", flights)
			env.Setenv("KAFKA_CONFIGS", configs)
			env.Setenv("KLAMM_BROKERS", "127.0.0.1:1")
			env.Values[brokerKey{}] = &brokerProcess{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"broker": startBroker,
			"halt":   haltBroker,
			"exit":   exitsWith,
			"mask":   maskOutput,
			"await":  awaitOutput,
			"flip":   flipByteOf,
			"drawn":  areDrawn,
			"begin":  beginTransaction,
			"hang":   hangTransaction,
		},
		UpdateScripts:       *rewrite,
		RequireExplicitExec: false,
		RequireUniqueNames:  true,
	})
}

// brokerProcess is the broker of one script, nil while there is none.
type brokerProcess struct{ cmd *exec.Cmd }

type brokerKey struct{}

// processLimit bounds how long a broker may take to start or to stop.
const processLimit = time.Minute

var servesAt = regexp.MustCompile(`msg=serving .*listener=(\S+)`)

// startBroker is `broker [VARIABLE=value…] [flag…]`: it starts `klamm serve` on a free port with
// its data in $WORK/data and waits until it serves. What it logs is in
// $WORK/broker.log.
func startBroker(ts *testscript.TestScript, neg bool, args []string) {
	b := ts.Value(brokerKey{}).(*brokerProcess)
	if neg || b.cmd != nil {
		ts.Fatalf("usage: broker [flag…], once until halt")
	}
	var variables []string
	for len(args) > 0 && strings.HasPrefix(args[0], "KLAMM_") {
		variables, args = append(variables, args[0]), args[1:]
	}
	args = append([]string{"serve",
		"--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "log.dirs=" + ts.MkAbs("data"), "--set", "klamm.http.listener=",
		"--set", "group.initial.rebalance.delay.ms=0", "--set", "offsets.topic.num.partitions=2"}, args...)
	log, err := os.OpenFile(ts.MkAbs("broker.log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	ts.Check(err)
	defer log.Close()
	offset, err := log.Seek(0, 2)
	ts.Check(err)
	b.cmd = exec.Command("klamm", args...)
	b.cmd.Env = append(os.Environ(), variables...)
	b.cmd.Dir, b.cmd.Stdout, b.cmd.Stderr = ts.MkAbs("."), log, log
	ts.Check(b.cmd.Start())
	ts.Defer(b.kill)
	address, err := awaitAddress(ts.MkAbs("broker.log"), offset)
	if err != nil {
		ts.Fatalf("start the broker: %v; it said:\n%s", err, ts.ReadFile("broker.log"))
	}
	ts.Setenv("KLAMM_BROKERS", address)
}

// awaitAddress reads the log from offset on until the broker says where it
// listens.
func awaitAddress(path string, offset int64) (string, error) {
	for started := time.Now(); time.Since(started) < processLimit; time.Sleep(2 * time.Millisecond) {
		log, err := os.Open(path)
		if err != nil {
			return "", err
		}
		_, err = log.Seek(offset, 0)
		for lines := bufio.NewScanner(log); err == nil && lines.Scan(); {
			if m := servesAt.FindStringSubmatch(lines.Text()); m != nil {
				log.Close()
				return m[1], nil
			}
		}
		log.Close()
	}
	return "", fmt.Errorf("it does not serve after %s", processLimit)
}

// haltBroker is `halt`: it ends the broker as a service manager does.
func haltBroker(ts *testscript.TestScript, _ bool, _ []string) {
	b := ts.Value(brokerKey{}).(*brokerProcess)
	if b.cmd == nil {
		ts.Fatalf("there is no broker to halt")
	}
	ts.Check(b.cmd.Process.Signal(syscall.SIGTERM))
	limit := time.AfterFunc(processLimit, func() { b.cmd.Process.Kill() })
	defer limit.Stop()
	err := b.cmd.Wait()
	b.cmd = nil
	if err != nil {
		ts.Fatalf("the broker ended with %v; it said:\n%s", err, ts.ReadFile("broker.log"))
	}
}

// kill ends a broker that the script left running.
func (b *brokerProcess) kill() {
	if b.cmd != nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
		b.cmd = nil
	}
}
