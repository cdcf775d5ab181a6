package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tried is what one run of the tool left behind.
type tried struct {
	code        int
	out, errOut string
}

// try runs the tool with an address where nothing listens.
func try(t *testing.T, stdin string, args ...string) tried {
	t.Helper()
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	if err := os.WriteFile(in, []byte(stdin), 0o600); err != nil {
		t.Fatal(err)
	}
	input, err := os.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	errOut, err := os.Create(filepath.Join(dir, "err"))
	if err != nil {
		t.Fatal(err)
	}
	defer errOut.Close()
	var out bytes.Buffer
	env := &environment{in: input, out: &out, errOut: errOut, brokers: []string{"127.0.0.1:1"}}
	root := newRootCommand(env)
	root.SetArgs(args)
	code := env.exitCode(root.ExecuteContext(context.Background()))
	return tried{code, out.String(), readBack(t, errOut)}
}

func readBack(t *testing.T, f *os.File) string {
	t.Helper()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"version", exitOK, ""},
		{"topic list --help", exitOK, ""},
		{"topic", exitOK, ""},
		{"topic list", exitFail, "no broker answers at 127.0.0.1:1: connection refused. Start one with `klamm serve`, or name another with --brokers"},
		{"topic list --brokers ,", exitFail, "no broker is named"},
		{"topic list --brokers PLAINTEXT://127.0.0.1:1", exitFail, "a broker is written host:port, not PLAINTEXT://127.0.0.1:1. Try --brokers 127.0.0.1:1"},
		{"topic list extra", exitUsage, `does not know what to do with "extra"`},
		{"topic list --bogus", exitUsage, "unknown flag: --bogus"},
		{"topic list -o xml", exitUsage, "one of table, json, yaml"},
		{"topic crete", exitUsage, "did you mean create"},
		{"tpic", exitUsage, "did you mean topic"},
		{"topic create", exitUsage, "needs more"},
		{"topic create a --set retention.ms", exitUsage, "KEY=VALUE"},
		{"topic alter a", exitUsage, "nothing to alter"},
		{"topic alter a --set k=v --delete k", exitUsage, "both set and deleted"},
		{"topic list -X client.id", exitUsage, "-X client.id: it is written KEY=VALUE"},
		{"topic list -X client.ids=a", exitUsage, "-X client.ids is no config of a client that is known here. Did you mean client.id? There are client.id, "},
		{"topic list -X linger.ms=soon", exitUsage, "-X linger.ms=soon: it is a number of milliseconds"},
		{"topic list -X fetch.min.bytes=0", exitUsage, "it is a number from 1 on"},
		{"topic list -X isolation.level=clean", exitUsage, "it is read_committed or read_uncommitted"},
		{"topic list -X partition.assignment.strategy=mine", exitUsage, "it is one of cooperative-sticky, range, roundrobin, sticky"},
		{"topic list -X fetch.max.bytes=1 -X client.rack=a", exitFail, "no broker answers"},
		{"produce", exitUsage, "needs more: klamm produce TOPIC [FILE]"},
		{"produce a --acks 2", exitUsage, "it is 0, 1 or all"},
		{"produce a --compression rar", exitUsage, "one of none, gzip, snappy, lz4, zstd"},
		{"produce a --format xml", exitUsage, "one of lines, csv, json"},
		{"produce a --partition -2", exitUsage, "partitions begin at 0"},
		{"produce a --header h", exitUsage, "NAME=VALUE"},
		{"produce a --key-field f", exitUsage, "lines have no fields"},
		{"produce a --format csv -K :", exitUsage, "--key-separator is for lines"},
		{"produce a --key x -K :", exitUsage, "--key is the key of every record"},
		{"produce a nosuchfile", exitFail, "no such file"},
		{"produce a", exitFail, "no broker answers"},
		{"consume", exitUsage, "needs more: klamm consume TOPIC…"},
		{"consume a --from noon", exitUsage, `"noon" is no place to begin`},
		{"consume a --from -3", exitFail, "no broker answers"},
		{"consume a -f %q", exitUsage, "%q is unknown"},
		{"consume a -o xml", exitUsage, "it is text or json"},
		{"consume a -o json -f %s", exitUsage, "--format is for --output text"},
		{"consume a -o -10", exitUsage, "where to begin is --from"},
		{"consume a --from-beginning --from end", exitUsage, "either --from-beginning or --from"},
		{"consume a -n 0", exitUsage, "it is 1 or more"},
		{"consume a -g g -p 1", exitUsage, "--partition does not go with --group"},
		{"consume a b -p 1", exitUsage, "--partition goes with one topic"},
		{"group describe", exitUsage, "needs more: klamm group describe GROUP…"},
		{"group reset g --topic t", exitUsage, "exactly one of --to-earliest, --to-latest, --to-offset, --to-datetime, --shift-by"},
		{"group reset g --topic t --to-latest --shift-by 1", exitUsage, "exactly one of"},
		{"group reset g --topic t --to-latest --execute --dry-run", exitUsage, "either --execute or --dry-run"},
		{"group reset g --to-latest", exitUsage, "either --topic or --all-topics"},
		{"group reset g --to-latest --topic t --all-topics", exitUsage, "either --topic or --all-topics"},
		{"group reset g --topic t --to-datetime noon", exitUsage, `"noon" is no time`},
		{"group reset g --topic t:x --to-latest", exitUsage, `"x" is no partition`},
		{"group reset g --topic t --to-offset 0", exitFail, "no broker answers"},
		{"cluster health here", exitUsage, `does not know what to do with "here"`},
		{"cluster health --exit-code", exitFail, "no broker answers"},
		{"cluster restart", exitUsage, "name the nodes and how each is restarted: --node ID=COMMAND"},
		{"cluster restart --node 1", exitUsage, "--node 1: it is written ID=COMMAND"},
		{"cluster restart --node one=true", exitUsage, "--node one=true: it is written ID=COMMAND"},
		{"cluster restart --node 1=true --node 1=false", exitUsage, "--node 1 is there twice"},
		{"cluster restart --node 1=true --timeout 0s", exitUsage, "--timeout is more than nothing"},
		{"cluster restart --node 1=true -o json", exitUsage, "--output goes with --dry-run"},
		{"cluster restart --node 1=true --dry-run -o json", exitFail, "no broker answers"},
		{"partition move -t a --to 1", exitUsage, "name what to move, and where: --topic TOPIC --partition PARTITION --to 1,2,3"},
		{"partition move -t a -p 0 --to 1,2,1", exitUsage, "--to 1,2,1: it names a broker twice"},
		{"partition cancel", exitUsage, "pass either --topic or --all"},
		{"partition cancel --all -t a", exitUsage, "pass either --topic or --all"},
		{"partition cancel -t a -t b -p 1", exitUsage, "--partition goes with one --topic"},
		{"partition elect-leaders --unclean", exitUsage, "--unclean loses records: name with --topic what it is for"},
		{"partition elect-leaders --unclean --preferred", exitUsage, "pass either --preferred or --unclean"},
		{"partition elect-leaders -p 1", exitUsage, "--partition goes with one --topic"},
		{"partition list-moves", exitFail, "no broker answers"},
		{"broker decommission", exitUsage, "needs more: klamm broker decommission BROKER…"},
		{"broker decommission 1 two", exitUsage, `"two" is no broker`},
		{"broker decommission 1 --throttle fast", exitUsage, "--throttle fast: it is a number of bytes a second, as 10MB or 500kB"},
		{"broker decommission 1 --at-once -1", exitUsage, "--at-once is 0 or more"},
		{"broker decommission 1 --dry-run --watch", exitUsage, "pass either --dry-run or --watch"},
		{"broker decommission 1 -o json", exitUsage, "--output goes with --dry-run"},
		{"broker decommission 1 2 --throttle 1MB/s", exitFail, "no broker answers"},
		{"broker undecommission", exitUsage, "needs more: klamm broker undecommission BROKER…"},
		{"broker unregister", exitUsage, "needs more: klamm broker unregister BROKER"},
		{"broker unregister one", exitUsage, `"one" is no broker: it is a number`},
		{"config describe", exitUsage, "needs more: klamm config describe topic NAME | broker [ID]"},
		{"config describe topic", exitUsage, "name the topic: klamm config describe topic NAME"},
		{"config describe group g", exitUsage, "it is topic or broker"},
		{"config describe broker one", exitUsage, `"one" is no broker`},
		{"config alter topic t", exitUsage, "nothing to alter"},
		{"config alter topic t --set k", exitUsage, "KEY=VALUE"},
		{"config alter broker --set k=v", exitFail, "no broker answers"},
	} {
		got := try(t, "", strings.Fields(c.args)...)
		if got.code != c.code || !strings.Contains(got.errOut, c.says) {
			t.Errorf("klamm %s: exit %d, said %q; want exit %d and %q", c.args, got.code, got.errOut, c.code, c.says)
		}
	}
}

func TestBootstrapServerIsAnotherNameForBrokers(t *testing.T) {
	got := try(t, "", "topic", "list", "--bootstrap-server", "127.0.0.1:2")
	if !strings.Contains(got.errOut, "127.0.0.1:2") {
		t.Errorf("said %q", got.errOut)
	}
}
