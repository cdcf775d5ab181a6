//go:build compat

package compat

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/test/brokers"
)

// flightCount is how many flights there are.
const flightCount = 336_776

// TestFlights sends all flights, keyed by aircraft, through each codec. What
// comes out is what went in, in order for each aircraft.
func TestFlights(t *testing.T) {
	flights := readFlights(t)
	for _, codec := range codecs {
		t.Run(codec, func(t *testing.T) {
			topic := "flights-" + codec
			createTopic(t, topic, 4)
			writeFlights(t, topic, codec, flights)
			wantFlights(t, flights, readBack(t, topic))
			wantCodec(t, topic, 4, codec)
		})
	}
}

// TestFlightsOfOthers has Java write the flights, and librdkafka read them.
func TestFlightsOfOthers(t *testing.T) {
	const topic = "flights-of-others"
	java, librdkafka := clients[0], clients[1]
	java.argv(t)
	librdkafka.argv(t)
	flights := readFlights(t)
	createTopic(t, topic, 4)
	messages := make([]message, len(flights))
	for i, f := range flights {
		h := fnv.New32a()
		h.Write(f.key)
		messages[i] = message{Partition: int32(h.Sum32() % 4), Timestamp: time.Now().UnixMilli(), Key: f.key, Value: f.line}
	}
	produce(t, java, topic, "lz4", messages, "idempotent=true")
	var back []flight
	for _, e := range records(consume(t, librdkafka, topic, flightCount)) {
		back = append(back, flight{e.Key, e.Value})
	}
	wantFlights(t, flights, back)
}

// flight is a line of the file, and its tail number.
type flight struct{ key, line []byte }

func readFlights(t *testing.T) []flight {
	t.Helper()
	tree, err := brokers.Tree()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(tree, "test", "data", "flights", "flights.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(unzipped)
	lines.Scan()
	tailnum := slices.Index(strings.Split(lines.Text(), ","), "tailnum")
	var flights []flight
	for lines.Scan() {
		line := bytes.Clone(lines.Bytes())
		flights = append(flights, flight{bytes.Split(line, []byte(","))[tailnum], line})
	}
	if lines.Err() != nil || len(flights) != flightCount {
		t.Fatalf("read %d flights of %d: %v", len(flights), flightCount, lines.Err())
	}
	return flights
}

func writeFlights(t *testing.T, topic, codec string, flights []flight) {
	t.Helper()
	compression := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[codec]
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker(t).Addr), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(compression), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, f := range flights {
		cl.Produce(t.Context(), &kgo.Record{Key: f.key, Value: f.line}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// readBack reads as many records as there are flights.
func readBack(t *testing.T, topic string) []flight {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker(t).Addr), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	var back []flight
	for len(back) < flightCount {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d records: %v", len(back), err)
		}
		fetches.EachRecord(func(r *kgo.Record) { back = append(back, flight{r.Key, r.Value}) })
	}
	return back
}

// wantFlights compares the lines of each aircraft, in their order.
func wantFlights(t *testing.T, want, got []flight) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d flights, want %d", len(got), len(want))
	}
	left := map[string][][]byte{}
	for _, f := range want {
		left[string(f.key)] = append(left[string(f.key)], f.line)
	}
	for i, f := range got {
		lines := left[string(f.key)]
		if len(lines) == 0 || !bytes.Equal(lines[0], f.line) {
			t.Fatalf("record %d: %s came, of %q these are next: %.2q", i, f.line, f.key, lines[:min(2, len(lines))])
		}
		left[string(f.key)] = lines[1:]
	}
}
