package log

import (
	"bytes"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

const formatPage = "../../docs/formats/log-files.md"

// drawnFiles are the files drawn byte by byte in the description of the formats.
func drawnFiles(t *testing.T) map[string][]byte {
	t.Helper()
	page, err := os.ReadFile(formatPage)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, block := range strings.Split(string(page), "```hex ")[1:] {
		name, rest, _ := strings.Cut(block, "\n")
		digits, _, _ := strings.Cut(rest, "```")
		if files[name], err = hex.DecodeString(strings.Join(strings.Fields(digits), "")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return files
}

func checkDrawn(t *testing.T, name string, want []byte) {
	t.Helper()
	if got := drawnFiles(t)[name]; !bytes.Equal(got, want) {
		t.Errorf("%s is drawn as\n%x\nit is\n%x", name, got, want)
	}
}

// All that is drawn was written by Kafka. What it wrote with transactions is in
// testdata; of its indexes ours are the same.
func TestFormatPageShowsFilesOfKafka(t *testing.T) {
	for _, name := range []string{"00000000000000000000.txnindex", "00000000000000000028.snapshot"} {
		checkDrawn(t, name, kafkaFile(t, name))
	}
	if n := len(drawnFiles(t)); n != 4 {
		t.Errorf("%d files are drawn, want 4", n)
	}
}

func TestFormatPageShowsIndexes(t *testing.T) {
	fs := disk.NewMemory()
	offsets, times := newOffsetIndex(fs, "0", 0), newTimeIndex(fs, "0", 0)
	for _, batch := range []struct{ last, position, timestamp int64 }{
		{5946, 916647, 1795599324833}, {8916, 1833178, 1795599324848}, {11879, 2749853, 1795599324854},
	} {
		offsets.append(batch.last, batch.position)
		times.note(timeEntry{timestamp: batch.timestamp, offset: batch.last})
		times.mark()
	}
	for name, store := range map[string]func() error{".index": offsets.store, ".timeindex": times.store} {
		if err := store(); err != nil {
			t.Fatal(err)
		}
		file, err := fs.ReadFile("0" + name)
		if err != nil {
			t.Fatal(err)
		}
		checkDrawn(t, name, file)
	}
}

// Every name and ending that the code gives to a file is described.
func TestFormatPageNamesEveryFile(t *testing.T) {
	page, err := os.ReadFile(formatPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		lockFile, cleanShutdownFile, recoveryPointFile, logStartFile, compactedFile, metaPropertiesFile, partitionMetadataFile, leaderEpochFile,
		`{"version":0,"brokerEpoch":7}`, ".index", ".timeindex", ".txnindex", ".snapshot", ".deleted", cleanedSuffix, swapSuffix, "-delete", "-stray",
	} {
		described := slices.ContainsFunc([]string{"`" + name, name + "`", "\n## " + name}, func(s string) bool { return strings.Contains(string(page), s) })
		if !described {
			t.Errorf("%s is not described", name)
		}
	}
}

// The text files that the page shows are what the code writes.
func TestFormatPageShowsTextFiles(t *testing.T) {
	page, err := os.ReadFile(formatPage)
	if err != nil {
		t.Fatal(err)
	}
	flights := func(p int32) protocol.TopicPartition { return protocol.TopicPartition{Topic: "flights", Partition: p} }
	epochs := &epochs{starts: []epochStart{{0, 0}, {3, 5673}, {5, 5678}}}
	topic, err := protocol.ParseTopicID("Kzh0ukhDTGOr5gsokieBAQ")
	if err != nil {
		t.Fatal(err)
	}
	folder, err := protocol.ParseTopicID("mCxv9uxbJ0i5G2mkj2_Aiw")
	if err != nil {
		t.Fatal(err)
	}
	meta := metaProperties{Identity: Identity{ClusterID: "rfBqGmvEQeGFWzEHnkVo3g", NodeID: 1, DirectoryID: folder}}
	for name, write := range map[string]func(disk.FS, string) error{
		recoveryPointFile: func(fs disk.FS, path string) error {
			return writeOffsetCheckpoint(fs, path, offsetCheckpoint{flights(0): 28150, flights(1): 977})
		},
		leaderEpochFile:       epochs.write,
		metaPropertiesFile:    func(fs disk.FS, path string) error { return writeMetaProperties(fs, path, meta) },
		partitionMetadataFile: func(fs disk.FS, path string) error { return writePartitionMetadata(fs, path, topic) },
	} {
		fs := disk.NewMemory()
		if err := write(fs, name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := fs.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), "```\n"+string(text)+"```") {
			t.Errorf("the page does not show this %s:\n%s", name, text)
		}
	}
}
