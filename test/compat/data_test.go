//go:build compat

package compat

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/test/brokers"
)

const filedRecords = 6000 // that fill writes, over several segments

// fill writes records with every codec, and lets a group commit, then stops the
// broker in order.
func fill(t *testing.T, b *brokers.Broker) {
	t.Helper()
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Kill() })
	create, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer create.Close()
	adm, size := kadm.NewClient(create), "1048576"
	if _, err := adm.CreateTopic(t.Context(), 1, 1, map[string]*string{"segment.bytes": &size}, "filed"); err != nil {
		t.Fatal(err)
	}
	if err := awaitLeaders(t.Context(), adm, "filed", 1); err != nil {
		t.Fatal(err)
	}
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for i, codec := range codecs {
		writeFiled(t, b, codec, filedRecords/len(codecs), i)
	}
	var offsets kadm.Offsets
	offsets.AddOffset("filed", 0, 42, -1)
	if err := adm.CommitAllOffsets(t.Context(), "filers", offsets); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
}

func writeFiled(t *testing.T, b *brokers.Broker, codec kgo.CompressionCodec, n, round int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.DefaultProduceTopic("filed"), kgo.ProducerBatchCompression(codec), kgo.ProducerBatchMaxBytes(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{
			Key:     fmt.Appendf(nil, "%d-%d", round, i),
			Value:   []byte(strings.Repeat(fmt.Sprintf("%d.%d|", i, round), 300)),
			Headers: []kgo.RecordHeader{{Key: "round", Value: []byte{byte(round)}}},
		}
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

var (
	// complaint is what dump-log prints of files that are not in order.
	complaint = regexp.MustCompile(`(?i)isvalid: false|mismatch|is followed by|out of order|not found|exception|invalid|incomplete|corrupt`)
	// firstOfSegment is what it prints of every segment but the first, of Apache Kafka's own as well.
	firstOfSegment = regexp.MustCompile(`Non-consecutive offsets in \S+\s+-1 is followed by \d+\n`)
)

// TestApacheReadsOurFiles lets Apache's dump-log read all that a stopped Klamm
// leaves in its data folder.
func TestApacheReadsOurFiles(t *testing.T) {
	box := tools(t)
	b, err := brokers.Klamm(brokers.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, b)
	logs := files(t, b.Data, "filed-0/*.log")
	if len(logs) < 2 {
		t.Fatalf("%d segments, want several", len(logs))
	}
	dump := box.MustRun(t, "dump-log", "--deep-iteration", "--files", strings.Join(logs, ","))
	if n := strings.Count(dump, "| offset: "); n != filedRecords {
		t.Errorf("dump-log reads %d records, want %d", n, filedRecords)
	}
	unblemished(t, dump)
	indexes := append(files(t, b.Data, "*/*.index"), files(t, b.Data, "*/*.timeindex")...)
	sane := box.MustRun(t, "dump-log", "--index-sanity-check", "--files", strings.Join(indexes, ","))
	if n := strings.Count(sane, "passed sanity check") + strings.Count(sane, ".index is empty."); n != len(indexes) {
		t.Errorf("%d of %d indexes passed:\n%s", n, len(indexes), tail(sane))
	}
	unblemished(t, box.MustRun(t, "dump-log", "--verify-index-only", "--files", strings.Join(indexes, ",")))
	unblemished(t, box.MustRun(t, "dump-log", "--files", strings.Join(files(t, b.Data, "filed-0/*.snapshot"), ",")))
	committed := box.MustRun(t, "dump-log", "--offsets-decoder", "--files", strings.Join(files(t, b.Data, "__consumer_offsets-*/*.log"), ","))
	unblemished(t, committed)
	if !strings.Contains(committed, `"group":"filers"`) || !strings.Contains(committed, `"offset":42`) {
		t.Errorf("the commit of the group is not found in:\n%s", tail(committed))
	}
}

// TestWeReadApachesFiles lets klamm log verify read what Apache Kafka left.
func TestWeReadApachesFiles(t *testing.T) {
	needs(t, "Apache Kafka", brokers.HasJava())
	b, err := brokers.Apache(brokers.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, b)
	klamm, err := brokers.BuildKlamm()
	if err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command(klamm, "log", "verify", filepath.Join(b.Data, "filed-0"), "--output", "json").CombinedOutput()
	if err != nil || !strings.Contains(string(said), fmt.Sprintf(`"records": %d`, filedRecords)) {
		t.Errorf("klamm log verify (%v), want %d records and no problem:\n%s", err, filedRecords, said)
	}
	if said, err := exec.Command(klamm, "log", "verify", b.Data).CombinedOutput(); err != nil {
		t.Errorf("klamm log verify of all: %v\n%s", err, said)
	}
}

func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s in %s (%v)", pattern, dir, err)
	}
	return found
}

func unblemished(t *testing.T, dump string) {
	t.Helper()
	dump = firstOfSegment.ReplaceAllString(dump, "")
	for line := range strings.Lines(dump) {
		if complaint.MatchString(line) {
			i := strings.Index(dump, line)
			t.Errorf("dump-log complains: %s", dump[i:min(len(dump), i+600)])
			return
		}
	}
}
