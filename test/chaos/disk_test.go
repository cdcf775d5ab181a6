//go:build chaos

package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/load"
	"github.com/klamm-io/klamm/test/wire"
)

// mountSmall mounts a small disk in memory for the test.
func mountSmall(t *testing.T, options string, flags uintptr) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Skipf("left out: this user may not mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// put produces a batch to partition 0 of topic and returns what the broker says.
func put(t *testing.T, addr, topic string, batch record.Batch) error {
	t.Helper()
	c, err := wire.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	resp, err := c.RoundTrip(load.Produce(topic, []int32{0}, batch))
	if err != nil {
		t.Fatal(err)
	}
	return load.Produced(resp.(*kmsg.ProduceResponse))
}

// count reads partition 0 of topic from offset on, as far as the broker gives it,
// and returns the offset after the last record. Each batch must be sound.
func count(t *testing.T, addr, topic string, offset int64) (next int64, refused error) {
	t.Helper()
	c, err := wire.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for {
		req := load.Fetch(topic, 0, offset, 1<<20)
		req.MaxWaitMillis = 0
		resp, err := c.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		p := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return offset, err
		}
		if len(p.RecordBatches) == 0 {
			return offset, nil
		}
		for rest := p.RecordBatches; len(rest) > 0; {
			var b record.Batch
			if b, rest, err = record.Next(rest); err != nil {
				break // the last one may be cut short
			}
			if err := b.Verify(); err != nil {
				t.Fatalf("%s at offset %d: the broker gave away a batch that is not sound: %v", topic, b.BaseOffset(), err)
			}
			offset = b.NextOffset()
		}
	}
}

// wantCount checks how many records a topic has.
func wantCount(t *testing.T, addr, topic string, want int64) {
	t.Helper()
	if got, err := count(t, addr, topic, 0); err != nil || got != want {
		t.Errorf("%s can be read up to offset %d (%v), want %d", topic, got, err, want)
	}
}

// TestFullDisk fills a disk, kills the broker, starts it on the full disk, and
// makes room.
func TestFullDisk(t *testing.T) {
	small := mountSmall(t, "size=16m", 0)
	ballast := filepath.Join(small, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	b := startKlamm(t, map[string]string{"log.dirs": filepath.Join(small, "data")})
	for _, topic := range []string{"full", "other"} {
		if err := load.CreateTopic(dialMany(t, b.Addr, 1)[0], topic, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	var acked int64
	batch := load.Batch(100, 1000)
	for err := error(nil); err == nil; {
		if err = put(t, b.Addr, "full", batch); err == nil {
			acked += 100
		} else if !errors.Is(err, kerr.KafkaStorageError) {
			t.Fatalf("a full disk: %v", err)
		}
		if acked > 100_000 {
			t.Fatal("a disk of 16 MiB took 100 MB")
		}
	}
	wantCount(t, b.Addr, "full", acked)
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatalf("on a full disk: %v", err)
	}
	wantCount(t, b.Addr, "full", acked)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"full", "other"} {
		if err := put(t, b.Addr, topic, load.Batch(1, 100)); err != nil {
			t.Errorf("with room again: %v", err)
		}
	}
	wantCount(t, b.Addr, "full", acked+1)
	if err := b.Stop(); err != nil {
		t.Error(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantCount(t, b.Addr, "full", acked+1)
	t.Logf("%d records were acknowledged before the disk was full", acked)
}

// refuses starts a broker that must end by itself, with words in its output.
func refuses(t *testing.T, b *brokers.Broker, words ...string) {
	t.Helper()
	if err := b.Start(t.Context()); err == nil {
		t.Error("the broker starts")
		if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	for _, word := range words {
		if !strings.Contains(b.Output(), word) {
			t.Errorf("the broker does not say %q but:\n%s", word, b.Output())
		}
	}
}

// TestReadOnlyFolder starts a broker on a disk that takes nothing.
func TestReadOnlyFolder(t *testing.T) {
	small := mountSmall(t, "", syscall.MS_RDONLY)
	b, err := brokers.Klamm(brokers.Options{Dir: t.TempDir(), Settings: map[string]string{"log.dirs": small}})
	if err != nil {
		t.Fatal(err)
	}
	refuses(t, b, small, "read-only")
}

// TestFolderUsedTwice starts a second broker on the first one's folder.
func TestFolderUsedTwice(t *testing.T) {
	first := startKlamm(t, nil)
	fill(t, first.Addr, "t", 1)
	second, err := brokers.Klamm(brokers.Options{Dir: t.TempDir(), Settings: map[string]string{"log.dirs": first.Data}})
	if err != nil {
		t.Fatal(err)
	}
	refuses(t, second, first.Data, "in use by another broker")
	if err := put(t, first.Addr, "t", load.Batch(1, 100)); err != nil {
		t.Error(err)
	}
	wantCount(t, first.Addr, "t", 1001)
}

// damage is done to the files of a topic while no broker runs.
type damage struct {
	topic string
	do    func(t *testing.T, folder string)
	want  int64  // up to which offset it can be read afterwards
	lost  bool   // readers are refused there, rather than at the log's end
	said  string // by the broker of this partition
}

// What a topic holds before that: segments of 11 batches of 90 records, 1 kB each.
const (
	perBatch   = 90
	perSegment = 11 * perBatch
	written    = 12 * perSegment
)

// damages are what is done, each to a topic of its own.
var damages = []damage{
	{"untouched", func(*testing.T, string) {}, written, false, ""},
	{"index-gone", func(t *testing.T, folder string) { remove(t, folder, "*.index") }, written, false, "rebuilding the indexes"},
	{"timeindex-gone", func(t *testing.T, folder string) { remove(t, folder, "*.timeindex") }, written, false, "rebuilding the indexes"},
	{"index-cut", func(t *testing.T, folder string) { cut(t, segmentFile(folder, 3, "index"), 5) }, written, false, "rebuilding the indexes"},
	{"bits-flipped", func(t *testing.T, folder string) { flip(t, segmentFile(folder, 5, "log")) }, 5*perSegment + 5*perBatch, true, "a segment is damaged; readers"},
	{"segment-cut", func(t *testing.T, folder string) { cut(t, segmentFile(folder, 7, "log"), 1000) }, 8*perSegment - perBatch, true, "a segment is damaged; readers"},
	{"snapshots-gone", func(t *testing.T, folder string) { remove(t, folder, "*.snapshot") }, written, false, ""},
}

// segmentFile is a file of the n-th segment, from 0.
func segmentFile(folder string, n int, kind string) string {
	return filepath.Join(folder, fmt.Sprintf("%020d.%s", n*perSegment, kind))
}

func remove(t *testing.T, folder, pattern string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s has no %s (%v)", folder, pattern, err)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// cut takes bytes from the end of a file.
func cut(t *testing.T, name string, bytes int64) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, info.Size()-bytes); err != nil {
		t.Fatal(err)
	}
}

// flip changes a few bits in the middle of a file.
func flip(t *testing.T, name string) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 0x14
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedFiles harms files while the broker is dead, in several ways, each in
// a topic of its own.
func TestDamagedFiles(t *testing.T) {
	b := startKlamm(t, map[string]string{
		"log.flush.offset.checkpoint.interval.ms": "100", "klamm.scrub.interval.ms": "1000", "klamm.scrub.bytes.per.second": "1000000000",
	})
	batch := load.Batch(perBatch, 1000)
	for _, d := range damages {
		if err := load.CreateTopic(dialMany(t, b.Addr, 1)[0], d.topic, 1, map[string]string{"segment.bytes": "1048576"}); err != nil {
			t.Fatal(err)
		}
		for range written / perBatch {
			if err := put(t, b.Addr, d.topic, batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	awaitCheckpoint(t, b)
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, d := range damages {
		d.do(t, filepath.Join(b.Data, d.topic+"-0"))
	}
	wantFindings(t, b.Data)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, d := range damages {
		t.Run(d.topic, func(t *testing.T) { d.check(t, b) })
	}
}

// awaitCheckpoint waits until all that was written is below a recovery point.
func awaitCheckpoint(t *testing.T, b *brokers.Broker) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(settleLimit); ; <-tick.C {
		points, err := os.ReadFile(filepath.Join(b.Data, "recovery-point-offset-checkpoint"))
		if err == nil && strings.Count(string(points), fmt.Sprintf(" 0 %d\n", written)) == len(damages) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no checkpoint of all after %s: %v\n%s", settleLimit, err, points)
		}
	}
}

// wantFindings checks that klamm log verify finds what was done to the records.
func wantFindings(t *testing.T, data string) {
	t.Helper()
	binary, err := brokers.BuildKlamm()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, "log", "verify", data).CombinedOutput()
	if err == nil {
		t.Error("klamm log verify finds nothing")
	}
	for _, d := range damages {
		if d.lost && !strings.Contains(string(out), d.topic+"-0/") {
			t.Errorf("klamm log verify does not find what happened to %s:\n%s", d.topic, out)
		}
	}
}

// check reads what is left until the broker knows of the damage, and writes on.
func (d *damage) check(t *testing.T, b *brokers.Broker) {
	if d.lost {
		d.awaitRefusal(t, b.Addr)
		next := d.want + perBatch
		if got, err := count(t, b.Addr, d.topic, next); err != nil || got != written {
			t.Errorf("from offset %d on it can be read up to %d (%v), want %d", next, got, err, written)
		}
	} else {
		wantCount(t, b.Addr, d.topic, d.want)
	}
	if err := put(t, b.Addr, d.topic, load.Batch(1, 100)); err != nil {
		t.Error(err)
	}
	lines, err := b.Lines("partition=" + d.topic + "-0")
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(lines, "\n"); d.said != "" && !strings.Contains(said, d.said) || d.said == "" && said != "" {
		t.Errorf("the broker says of it %q, want %q", said, d.said)
	}
}

// awaitRefusal waits until a reader of the damaged records is refused.
func (d *damage) awaitRefusal(t *testing.T, addr string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(settleLimit); ; <-tick.C {
		err := ask(t, addr, d.topic, d.want)
		if errors.Is(err, kerr.CorruptMessage) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a reader of damaged records is not told so: %v", err)
		}
	}
	if got, err := count(t, addr, d.topic, 0); got != d.want || !errors.Is(err, kerr.CorruptMessage) {
		t.Errorf("it can be read up to offset %d (%v), want %d", got, err, d.want)
	}
}

// ask fetches from one offset and returns the broker's error. Until the broker
// knows better, it may give away what is damaged.
func ask(t *testing.T, addr, topic string, offset int64) error {
	t.Helper()
	resp, err := dialMany(t, addr, 1)[0].RoundTrip(load.Fetch(topic, 0, offset, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return kerr.ErrorForCode(resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode)
}
