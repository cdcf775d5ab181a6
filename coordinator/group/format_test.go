package group

import (
	"bytes"
	"encoding/hex"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

const formatPage = "../../docs/formats/consumer-offsets.md"

// drawnRecords are the records of the description of the format, by title.
func drawnRecords(t *testing.T) map[string]Record {
	t.Helper()
	page, err := os.ReadFile(formatPage)
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]Record{}
	for _, block := range strings.Split(string(page), "```hex ")[1:] {
		title, rest, _ := strings.Cut(block, "\n")
		drawing, _, _ := strings.Cut(rest, "```")
		key, value, found := strings.Cut(drawing, "\n\n")
		if !found {
			t.Fatalf("%s: no empty line between key and value", title)
		}
		records[title] = Record{Key: drawnBytes(t, key), Value: drawnBytes(t, value)}
	}
	return records
}

// drawnBytes reads the digits at the left of a drawing.
func drawnBytes(t *testing.T, drawing string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(drawing) {
		column, _, _ := strings.Cut(strings.TrimSpace(line), "   ")
		digits.WriteString(strings.ReplaceAll(column, " ", ""))
	}
	raw, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The groups in the description were written by Kafka; ours are the same.
func TestFormatPageShowsGroups(t *testing.T) {
	drawn := drawnRecords(t)
	for _, title := range []string{"a group", "a group without members"} {
		var value kmsg.GroupMetadataValue
		if err := value.ReadFrom(drawn[title].Value); err != nil {
			t.Fatalf("%s: %v", title, err)
		}
		g := newGroup("board", time.Time{})
		g.restore(&value, time.Time{})
		checkDrawn(t, title, drawn[title], g.metadataRecord(g.since))
	}
}

func TestFormatPageShowsOffsets(t *testing.T) {
	drawn := drawnRecords(t)
	tp := protocol.TopicPartition{Topic: "flights", Partition: 0}
	committed := committed{offset: 7, metadata: "note", at: time.UnixMilli(0x1a2120f6356)}
	checkDrawn(t, "an offset", drawn["an offset"], offsetRecord("board", tp, &committed))

	// What Kafka wrote at a newer version is read.
	kafkas := drawn["an offset, as Kafka wrote it"]
	c := New(Config{}, nil, slog.New(slog.DiscardHandler))
	if err := c.Replay(kafkas.Key, kafkas.Value, time.Time{}); err != nil {
		t.Fatal(err)
	}
	read := c.groups["board"].offsets[tp]
	if read.offset != 7 || read.leaderEpoch != 0 || !strings.HasPrefix(read.metadata, "klamm-7aa9115c") || read.at != committed.at {
		t.Errorf("Kafka's offset is read as %+v", read)
	}
}

func checkDrawn(t *testing.T, title string, drawn, want Record) {
	t.Helper()
	if !bytes.Equal(drawn.Key, want.Key) || !bytes.Equal(drawn.Value, want.Value) {
		t.Errorf("%s is drawn as\n%x %x\nit is\n%x %x", title, drawn.Key, drawn.Value, want.Key, want.Value)
	}
}
