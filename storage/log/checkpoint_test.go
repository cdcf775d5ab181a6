package log

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// memoryWith is a file system that holds one file.
func memoryWith(t *testing.T, name, content string) *disk.Memory {
	t.Helper()
	m := disk.NewMemory()
	if err := m.Mkdir(filepath.Dir(name)); err != nil {
		t.Fatal(err)
	}
	if err := disk.WriteFileAtomic(m, name, []byte(content)); err != nil {
		t.Fatal(err)
	}
	return m
}

// contentOf is what a file holds.
func contentOf(t *testing.T, fsys disk.FS, name string) string {
	t.Helper()
	raw, err := fsys.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// wantProblem holds that err says all of the given words.
func wantProblem(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestOffsetCheckpoint(t *testing.T) {
	m := disk.NewMemory()
	if c, err := readOffsetCheckpoint(m, "f"); err != nil || c == nil || len(c) != 0 {
		t.Fatalf("a file that is not there: got %v, %v; want an empty one", c, err)
	}
	want := offsetCheckpoint{
		{Topic: "a", Partition: 10}:           5,
		{Topic: "a", Partition: 9}:            1 << 40,
		{Topic: "a-b.c_d", Partition: 0}:      0,
		{Topic: "__offsets", Partition: 1234}: 7,
	}
	if err := writeOffsetCheckpoint(m, "f", want); err != nil {
		t.Fatal(err)
	}
	const text = "0\n5\n__offsets 1234 7\na 9 1099511627776\na 10 5\na-b.c_d 0 0\nchecksum:crc32c 0 2326182054\n"
	if got := contentOf(t, m, "f"); got != text {
		t.Errorf("wrote %q, want %q", got, text)
	}
	got, err := readOffsetCheckpoint(m, "f")
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("read back %v, %v; want %v", got, err, want)
	}
	if err := writeOffsetCheckpoint(m, "f", nil); err != nil {
		t.Fatal(err)
	}
	if got := contentOf(t, m, "f"); got != "0\n0\n" {
		t.Errorf("wrote %q for no offsets", got)
	}
	if got, err := readOffsetCheckpoint(m, "f"); err != nil || len(got) != 0 {
		t.Errorf("read back %v, %v; want none", got, err)
	}
}

// Kafka writes entries in no order and accepts any blanks between fields.
func TestOffsetCheckpointAsKafkaMayWriteIt(t *testing.T) {
	got, err := readOffsetCheckpoint(memoryWith(t, "f", "0\n2\nz 1  3\na\t0 4\n"), "f")
	want := offsetCheckpoint{{Topic: "z", Partition: 1}: 3, {Topic: "a", Partition: 0}: 4}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

func TestMalformedOffsetCheckpoint(t *testing.T) {
	for content, line := range map[string]string{
		"":                             "line 1",
		"\n":                           "line 1",
		"1\n0\n":                       "line 1",
		"0":                            "line 2",
		"0\n":                          "line 2",
		"0\nx\n":                       "line 2",
		"0\n-1\n":                      "line 2",
		"0\n1\n":                       "line 2",
		"0\n1\na 0 0\nb 0 0\n":         "line 2",
		"0\n2\na 0 0\n":                "line 2",
		"0\n1\na 0\n":                  "line 3",
		"0\n1\na 0 0 0\n":              "line 3",
		"0\n2\na 0 0\na x 0\n":         "line 4",
		"0\n2\na 0 0\na -1 0\n":        "line 4",
		"0\n1\na 2147483648 0\n":       "line 3",
		"0\n1\na 0 x\n":                "line 3",
		"0\n1\na 0 -1\n":               "line 3",
		"0\n2\na 0 0\n\n":              "line 4",
		"0\n1\n\x00\x00\x00\x00\x00":   "line 3",
		"\x00\x00\x00\x00\x00\x00\x00": "line 1",
	} {
		_, err := readOffsetCheckpoint(memoryWith(t, "a/checkpoint", content), "a/checkpoint")
		if err == nil {
			t.Errorf("%q was accepted", content)
			continue
		}
		wantProblem(t, err, "a/checkpoint", line)
	}
}

func TestPartitionMetadata(t *testing.T) {
	m := memoryWith(t, "f", "something longer than what is written over it, as a torn file may be, by far")
	id := protocol.TopicID{1: 2, 15: 7}
	if err := writePartitionMetadata(m, "f", id); err != nil {
		t.Fatal(err)
	}
	if got, want := contentOf(t, m, "f"), "version: 0\ntopic_id: AAIAAAAAAAAAAAAAAAAABw\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
	if got, err := readPartitionMetadata(m, "f"); err != nil || got != id {
		t.Errorf("read back %v, %v; want %v", got, err, id)
	}
	for content, word := range map[string]string{
		"version: 1\ntopic_id: AAIAAAAAAAAAAAAAAAAABw\n": "line 1",
		"version: 0\n":                          "line 2",
		"version: 0\ntopic_id: AAIAAAAAAAAAAAA": "line 2",
		"version: 0\n\x00\x00\x00":              "line 2",
	} {
		_, err := readPartitionMetadata(memoryWith(t, "f", content), "f")
		wantProblem(t, err, "f, ", word)
	}
}

// What a log acknowledged is of its topic for good: a folder whose metadata a power
// cut took before it was flushed had acknowledged nothing, and what it has may be of a
// topic that was deleted since.
func TestRecordsOfADeletedTopicDoNotComeBack(t *testing.T) {
	for seed := range uint64(100) {
		m := durableFolder(t)
		l := openTestLog(t, openTestDir(t, m, "data"), testConfig())
		mustAppend(t, l, testBatch(t, 3, 1000, 1))
		flushed := seed%2 == 0
		if flushed {
			waitFlushed(t, l)
		}
		after := m.Crash(rand.New(rand.NewPCG(seed, 6)))
		other, err := openTestDir(t, after.Kill(), "data").Open(testPartition, protocol.NewTopicID(), testConfig())
		if err != nil || other.End() != 0 {
			t.Errorf("seed %d: another topic of that name begins with %d records (%v)", seed, other.End(), err)
		}
		if same := openTestLog(t, openTestDir(t, after, "data"), testConfig()); flushed && same.End() != 3 {
			t.Errorf("seed %d: the topic has %d records, want 3", seed, same.End())
		}
	}
}

// A bit that flips in the text of a topic id makes neither another topic of it nor
// a folder that nobody reads; the folder of another topic is put aside.
func TestDamagedTopicID(t *testing.T) {
	sound := "version: 0\ntopic_id: " + testTopicID.String() + "\n"
	contents := map[string]int64{"": 3, "version: 0\ntopic_id: " + protocol.NewTopicID().String() + "\n": 0}
	for at := range sound {
		for bit := range 8 {
			damaged := []byte(sound)
			damaged[at] ^= 1 << bit
			contents[string(damaged)] = 3
		}
	}
	for content, want := range contents {
		fsys := durableFolder(t)
		d := openTestDir(t, fsys, "data")
		l := openTestLog(t, d, testConfig())
		mustAppend(t, l, testBatch(t, 3, 10, 1))
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if err := disk.WriteFileAtomic(fsys, l.file(partitionMetadataFile), []byte(content)); err != nil {
			t.Fatal(err)
		}
		if end := openTestLog(t, openTestDir(t, fsys, "data"), testConfig()).End(); end != want {
			t.Errorf("with %q the log ends at %d, want %d", content, end, want)
		}
		if id, err := readPartitionMetadata(fsys, l.file(partitionMetadataFile)); err != nil || id != testTopicID {
			t.Errorf("%q was mended to %v (%v)", content, id, err)
		}
	}
}

// How far a log was durable that is deleted is not believed of the next one of its
// name, though a stop comes right after that was made.
func TestDeletedLogLeavesNoRecoveryPoint(t *testing.T) {
	fsys := durableFolder(t)
	d := openTestDir(t, fsys, "data")
	l := openTestLog(t, d, testConfig())
	mustAppend(t, l, testBatch(t, 3, 10, 1))
	if err := d.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(testPartition); err != nil {
		t.Fatal(err)
	}
	openTestLog(t, d, testConfig())
	points, err := readOffsetCheckpoint(fsys, d.file(recoveryPointFile))
	if err != nil || points[testPartition] != 0 {
		t.Errorf("an empty log is said to be durable up to %d (%v)", points[testPartition], err)
	}
}

// A log that lost its durable end, or all of it, says so.
func TestLostRecordsAreTold(t *testing.T) {
	for lost, want := range map[string]string{
		"half":   "the log ends before them\" partition=flights-0 path=data/flights-0 end=3 durable=6",
		"file":   "the log ends before them\" partition=flights-0 path=data/flights-0 end=0 durable=6",
		"folder": "it begins empty\" partition=flights-0 path=data/flights-0 durable=6",
	} {
		t.Run(lost, func(t *testing.T) {
			fsys := durableFolder(t)
			d := openTestDir(t, fsys, "data")
			l := openTestLog(t, d, testConfig())
			mustAppend(t, l, testBatch(t, 3, 10, 1))
			half := (*l.segments.Load())[0].size.Load()
			mustAppend(t, l, testBatch(t, 3, 10, 1))
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			name := l.file(segmentName(0) + ".log")
			switch lost {
			case "half":
				truncateFile(t, fsys, name, half)
			case "file":
				truncateFile(t, fsys, name, 0)
			case "folder":
				if err := fsys.RemoveAll(l.Path()); err != nil {
					t.Fatal(err)
				}
			}
			var told bytes.Buffer
			d, err := OpenDir("data", DirConfig{NodeID: 1, Flushes: 4}, Deps{FS: fsys, Logger: slog.New(slog.NewTextHandler(&told, nil)), Observe: &observed{}})
			if err != nil {
				t.Fatal(err)
			}
			openTestLog(t, d, testConfig())
			if !strings.Contains(told.String(), want) {
				t.Errorf("it does not say %q but:\n%s", want, told.String())
			}
		})
	}
}

func truncateFile(t *testing.T, fsys disk.FS, name string, size int64) {
	t.Helper()
	file, err := fsys.OpenFile(name)
	if err == nil {
		err = errors.Join(file.Truncate(size), file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}
