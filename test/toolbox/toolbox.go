package toolbox

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klamm-io/klamm/test/brokers"
)

// apacheTools names the classes of Apache's tools, as its scripts do.
var apacheTools = map[string]string{
	"acls":                "org.apache.kafka.tools.AclCommand",
	"features":            "org.apache.kafka.tools.FeatureCommand",
	"api-versions":        "org.apache.kafka.tools.BrokerApiVersionsCommand",
	"cluster":             "org.apache.kafka.tools.ClusterTool",
	"configs":             "kafka.admin.ConfigCommand",
	"console-consumer":    "org.apache.kafka.tools.consumer.ConsoleConsumer",
	"console-producer":    "org.apache.kafka.tools.ConsoleProducer",
	"consumer-perf-test":  "org.apache.kafka.tools.ConsumerPerformance",
	"delete-records":      "org.apache.kafka.tools.DeleteRecordsCommand",
	"dump-log":            "org.apache.kafka.tools.DumpLogSegments",
	"get-offsets":         "org.apache.kafka.tools.GetOffsetShell",
	"groups":              "org.apache.kafka.tools.GroupsCommand",
	"consumer-groups":     "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
	"log-dirs":            "org.apache.kafka.tools.LogDirsCommand",
	"metadata-quorum":     "org.apache.kafka.tools.MetadataQuorumCommand",
	"producer-perf-test":  "org.apache.kafka.tools.ProducerPerformance",
	"reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
	"topics":              "org.apache.kafka.tools.TopicCommand",
	"transactions":        "org.apache.kafka.tools.TransactionsCommand",
	"verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
	"leader-election":     "org.apache.kafka.tools.LeaderElectionCommand",
	"verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
}

// Box is one Java machine that runs Apache's tools: see Tools.java. It
// ends when its standard input does, with this process at the latest.
type Box struct {
	process *os.Process
	in      io.Writer
	out     *bufio.Reader
}

// Open starts the machine, the first time, and returns it: all tests share it, and
// one uses it at a time.
var Open = sync.OnceValues(func() (*Box, error) {
	libs, err := brokers.Jars()
	if err != nil {
		return nil, err
	}
	tree, err := brokers.Tree()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-cp", filepath.Join(libs, "*"), filepath.Join(tree, "test", "toolbox", "Tools.java"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &Box{process: cmd.Process, in: in, out: bufio.NewReader(out)}, nil
})

// toolLimit bounds how long one tool may run.
const toolLimit = time.Minute

// Run returns what a tool printed and its exit status.
func (b *Box) Run(name, input string, args ...string) (printed string, status int, err error) {
	class, known := apacheTools[name]
	if !known {
		return "", 0, fmt.Errorf("no tool is called %s", name)
	}
	if strings.HasPrefix(name, "verifiable-") {
		return RunAlone(class, args) // it has more to say when its process ends
	}
	killer := time.AfterFunc(toolLimit, func() { _ = b.process.Kill() })
	defer killer.Stop()
	printed, status, err = b.ask(strings.Join(append([]string{class}, args...), "\t"), input)
	if err != nil {
		return "", 0, fmt.Errorf("run %s %s (it has %s): %w", name, strings.Join(args, " "), toolLimit, err)
	}
	return printed, status, nil
}

func (b *Box) ask(words, input string) (printed string, status int, err error) {
	if _, err := fmt.Fprintf(b.in, "%s\n%s\n", words, base64.StdEncoding.EncodeToString([]byte(input))); err != nil {
		return "", 0, err
	}
	var size int
	if _, err := fmt.Fscanf(b.out, "%d %d\n", &status, &size); err != nil {
		return "", 0, err
	}
	all := make([]byte, size)
	_, err = io.ReadFull(b.out, all)
	return string(all), status, err
}

// RunAlone runs a tool as a process of its own.
func RunAlone(class string, args []string) (printed string, status int, err error) {
	cmd, err := brokers.Tool(class, args...)
	if err != nil {
		return "", 0, err
	}
	killer := time.AfterFunc(toolLimit, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), exit.ExitCode(), nil
	}
	return string(out), 0, err
}

// MustRun returns what a tool printed, and fails the test where it failed.
func (b *Box) MustRun(t testing.TB, name string, args ...string) string {
	t.Helper()
	printed, status, err := b.Run(name, "", args...)
	if err != nil {
		t.Fatal(err)
	}
	if status != 0 {
		t.Fatalf("%s %s ended with %d:\n%s", name, strings.Join(args, " "), status, printed[max(0, len(printed)-2000):])
	}
	return printed
}
