package group

import (
	"bytes"
	"encoding/hex"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/internal/xxh3"
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

// The records of consumer groups in the description were written by Kafka: read
// and written again, they are the same.
func TestFormatPageShowsConsumerGroups(t *testing.T) {
	drawn := drawnRecords(t)
	for title, again := range map[string]func(of string, g *consumerGroup) Record{
		"a consumer group's epoch":             func(_ string, g *consumerGroup) Record { return epochRecord("tr-rec", g) },
		"a member":                             func(of string, g *consumerGroup) Record { return memberRecord("tr-rec", g.members[of]) },
		"a classic member of a consumer group": func(of string, g *consumerGroup) Record { return memberRecord("tr-rec", g.members[of]) },
		"a target":                             func(of string, g *consumerGroup) Record { return targetRecord("tr-rec", of, g.target[of]) },
		"a target's epoch":                     func(_ string, g *consumerGroup) Record { return targetEpochRecord("tr-rec", g) },
		"a current assignment":                 func(of string, g *consumerGroup) Record { return currentRecord("tr-rec", g.members[of]) },
		"a regular expression":                 func(of string, g *consumerGroup) Record { return regexRecord("tr-rec", of, g.regexes[of]) },
	} {
		c := New(Config{}, nil, slog.New(slog.DiscardHandler))
		if err := c.Replay(drawn[title].Key, drawn[title].Value, time.Time{}); err != nil {
			t.Fatalf("%s: %v", title, err)
		}
		key, err := readConsumerKey(drawn[title].Key)
		if err != nil {
			t.Fatalf("%s: %v", title, err)
		}
		checkDrawn(t, title, drawn[title], again(key.of, c.groups["tr-rec"].consumer))
	}
}

// The hash in the description is Kafka's, of the topic whose id is in it.
func TestTopicsAreHashedAsByKafka(t *testing.T) {
	c := New(Config{}, nil, slog.New(slog.DiscardHandler))
	id := protocol.TopicID{0x94, 0xb5, 0xc1, 0xfe, 0xb6, 0xfe, 0x4d, 0xc0, 0x91, 0x6e, 0xca, 0xfc, 0x66, 0xf7, 0x15, 0x93}
	c.ClusterChanged(oneTopic{noCluster{}, Topic{Name: "tr-a", ID: id, Partitions: 3}}, nil, true)
	if got := c.hashOf([]string{"none", "tr-a"}); got != 0x5e009e6f7c08b0fe {
		t.Errorf("the hash is %016x, Kafka's 5e009e6f7c08b0fe", got)
	}
	if got := c.hashOf([]string{"none"}); got != 0 {
		t.Errorf("the hash of no topics is %016x", got)
	}
	// As Kafka's own code hashes a name of more than ASCII, and racks.
	id = protocol.TopicID{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88}
	racked := &fakeRacks{noCluster{}}
	if got := xxh3.Sum64(describeTopic(racked, Topic{Name: "topic-ä", ID: id, Partitions: 3})); got != 0x2b54ca24bc097bd5 {
		t.Errorf("the hash of a topic with racks is %016x, Kafka's 2b54ca24bc097bd5", got)
	}
}

type oneTopic struct {
	noCluster
	topic Topic
}

func (o oneTopic) Topic(name string) (Topic, bool) { return o.topic, name == o.topic.Name }

// fakeRacks has partition n on a rack of that number.
type fakeRacks struct{ noCluster }

func (*fakeRacks) Racks(_ string, partition int) []string {
	return []string{"rack" + strconv.Itoa(partition)}
}
