//go:build compat

package compat

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/runtimes"
)

// client is one of the programs under clients, all of which have one command line.
type client struct {
	name    string
	program func() ([]string, error) // builds it where needed; runtimes.MissingError where a runtime is
	// What the client itself cannot do.
	noHeaders, noTimestamps, noEmptyValues, noIdempotence, noCooperative bool
	noAdmin                                                              bool
	noTransactions                                                       bool // nor does it read committed records only
	staticMembers                                                        bool // its members may keep their places by group.instance.id
	consumerProtocol                                                     bool // it speaks the new group protocol
	keepsUserData                                                        bool // its cooperative assignor keeps data of its own in assignments, so that no broker can stand in for it
	noMixing                                                             bool // it speaks no assignor that others know, or writes subscriptions that they cannot read
	readsEmptyAsNull                                                     bool
	waitsBehindEnd                                                       bool // where an offset is behind the end, it waits for the end to get there
	ignoresAppendTime                                                    bool // it shows the time of the producer where the topic has the broker's
	dropsOnLeave                                                         bool // it commits a record that it does not print any more
}

var clients = []client{
	{name: "java", program: javaProgram, staticMembers: true, consumerProtocol: true},
	{name: "librdkafka", program: pythonProgram("confluent.py"), staticMembers: true, consumerProtocol: true, keepsUserData: true},
	{name: "kcat", program: kcatProgram, noHeaders: true, noTimestamps: true, noEmptyValues: true, dropsOnLeave: true, noAdmin: true, noTransactions: true},
	{name: "franz-go", program: goProgram("franz-go"), staticMembers: true},
	{name: "sarama", program: goProgram("sarama"), staticMembers: true, noCooperative: true, noTransactions: true},
	{name: "kafka-go", program: goProgram("kafka-go"), noIdempotence: true, noCooperative: true, noMixing: true, noAdmin: true, noTransactions: true, readsEmptyAsNull: true, waitsBehindEnd: true, ignoresAppendTime: true},
	{name: "kafka-python", program: pythonProgram("kafkapython.py"), staticMembers: true, noCooperative: true},
	{name: "kafkajs", program: nodeProgram("client.js"), noCooperative: true, noMixing: true},
}

// needs skips the test, or in CI fails it, where err says that a runtime is
// missing. What it was asked for is told at the end of all tests.
func needs(t *testing.T, what string, err error) {
	t.Helper()
	var missing runtimes.MissingError
	asked.note(what, err)
	switch {
	case err == nil:
	case !errors.As(err, &missing) && !errors.Is(err, brokers.ErrNoJava), os.Getenv("CI") == "true":
		t.Fatalf("%s: %v", what, err)
	default:
		t.Skipf("left out: %s: %v", what, err)
	}
}

// argv returns the command line that runs c, or skips the test.
func (c client) argv(t *testing.T) []string {
	t.Helper()
	argv, err := c.program()
	needs(t, c.name, err)
	return argv
}

// coverage is what tests needed, and why some of it could not be had.
type coverage struct {
	mu sync.Mutex
	by map[string]error // guarded by mu
}

var asked = coverage{by: map[string]error{}}

func (c *coverage) note(what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[what] = err
}

// String has a line for what ran, and one for each thing that was left out.
func (c *coverage) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ran []string
	var lines strings.Builder
	for _, what := range slices.Sorted(maps.Keys(c.by)) {
		if err := c.by[what]; err != nil {
			fmt.Fprintf(&lines, "left out: %s: %v\n", what, err)
		} else {
			ran = append(ran, what)
		}
	}
	return fmt.Sprintf("ran: %s\n%s", strings.Join(ran, ", "), lines.String())
}

// present returns the clients that this machine can run; a subtest for each
// other one says that it is left out.
func present(t *testing.T) []client {
	t.Helper()
	for _, c := range clients {
		go func() { _, _ = c.program() }() // what has to be fetched and built is so at the same time
	}
	var found []client
	for _, c := range clients {
		t.Run(c.name+" runs", func(t *testing.T) {
			c.argv(t)
			found = append(found, c)
		})
	}
	return found
}

// sources returns the folder of one language's clients.
func sources(language string) (string, error) {
	tree, err := brokers.Tree()
	return filepath.Join(tree, "test", "compat", "clients", language), err
}

var goClients = sync.OnceValues(func() (string, error) {
	from, err := sources("go")
	if err != nil {
		return "", err
	}
	into, err := brokers.Cache("bin")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(into, "clients")
	return binary, runtimes.Command(from, "go", "build", "-o", binary, ".")
})

func goProgram(name string) func() ([]string, error) {
	return func() ([]string, error) {
		binary, err := goClients()
		return []string{binary, name}, err
	}
}

func kcatProgram() ([]string, error) {
	if err := runtimes.Look("kcat"); err != nil {
		return nil, err
	}
	return goProgram("kcat")()
}

var javaClient = sync.OnceValues(func() (string, error) {
	if err := brokers.HasJava(); err != nil {
		return "", err
	}
	from, err := sources("java")
	if err != nil {
		return "", err
	}
	into, err := brokers.Cache("java")
	if err != nil {
		return "", err
	}
	libs := filepath.Join(into, "libs")
	return filepath.Join(into, "classes") + ":" + filepath.Join(libs, "*"), runtimes.Command(from, "mvn", "-q", "-B",
		"-Dout="+into, "package", "dependency:copy-dependencies", "-DoutputDirectory="+libs)
})

func javaProgram() ([]string, error) {
	classpath, err := javaClient()
	return []string{"java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classpath, "Main"}, err
}

func pythonProgram(script string) func() ([]string, error) {
	return func() ([]string, error) {
		python, err := runtimes.Python()
		if err != nil {
			return nil, err
		}
		from, err := sources("python")
		return []string{python, "-B", filepath.Join(from, script)}, err
	}
}

// nodeHome is a folder with what package-lock.json names beside the programs:
// Node looks for packages next to the file that asks for them.
var nodeHome = sync.OnceValues(func() (string, error) {
	if err := runtimes.Look("node", "npm"); err != nil {
		return "", err
	}
	from, err := sources("node")
	if err != nil {
		return "", err
	}
	home, err := brokers.Cache("node")
	if err != nil {
		return "", err
	}
	if err := copyFiles(home, os.DirFS(from)); err != nil {
		return "", err
	}
	return home, runtimes.Once(home, filepath.Join(from, "package-lock.json"), func() error {
		return runtimes.Command(home, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	})
})

func nodeProgram(script string) func() ([]string, error) {
	return func() ([]string, error) {
		home, err := nodeHome()
		return []string{"node", filepath.Join(home, script)}, err
	}
}

// copyFiles copies the files at the top of from over those in dir.
func copyFiles(dir string, from fs.FS) error {
	names, err := fs.Glob(from, "*.js*")
	if err != nil {
		return err
	}
	for _, name := range names {
		data, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
