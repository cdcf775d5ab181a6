package record

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/protocol/compress"
)

// goldenEntries are the records that the files in testdata/kafka hold, but for the transactions. The long value spans several
// blocks of snappy and LZ4.
func goldenEntries() []entry {
	const start = 1_700_000_000_000
	return []entry{
		{time: start, value: []byte("no key")},
		{time: start + 5, key: []byte("k"), value: nil},
		{time: start - 100, key: []byte{}, value: []byte{}, headers: []Header{
			{Key: []byte("trace"), Value: []byte("abc")}, {Key: []byte("trace"), Value: nil}, {Key: []byte{}, Value: []byte{}},
		}},
		{time: start + 5, key: []byte("long"), value: []byte(strings.Repeat("0123456789 partition leader ", 2500))},
	}
}

func buildGolden(tb testing.TB, codec compress.Codec, level int) Batch {
	tb.Helper()
	b := NewBuilder()
	b.Codec, b.Level = codec, level
	for _, e := range goldenEntries() {
		b.Append(e.time, e.key, e.value, e.headers...)
	}
	batch, err := b.Build(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return batch
}

func loadBatch(tb testing.TB, file string) (b Batch, rest []byte) {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "kafka", file+".bin"))
	if err != nil {
		tb.Fatal(err)
	}
	b, rest, err = Next(raw)
	if err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	if err := b.Verify(); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	return b, rest
}

// TestBatchesOfKafkaRead reads batches as Kafka 4.3 stored them: "client" as the producer packed them, "broker" as Kafka packed
// them itself.
func TestBatchesOfKafkaRead(t *testing.T) {
	plain := buildGolden(t, compress.None, 0)
	for file, codec := range map[string]compress.Codec{
		"broker-none": compress.None, "broker-gzip": compress.Gzip, "broker-snappy": compress.Snappy,
		"broker-lz4": compress.LZ4, "broker-zstd": compress.Zstd,
		"client-gzip": compress.Gzip, "client-snappy": compress.Snappy, "client-lz4": compress.LZ4, "client-zstd": compress.Zstd,
	} {
		t.Run(file, func(t *testing.T) {
			b, rest := loadBatch(t, file)
			if len(rest) > 0 || b.Attributes().Codec() != codec {
				t.Fatalf("codec %s, %d bytes follow", b.Attributes().Codec(), len(rest))
			}
			got, err := readBack(b)
			if err != nil || !slices.EqualFunc(got, goldenEntries(), entry.equal) {
				t.Fatalf("%v, got %v", err, got)
			}
			checkSummary(t, b)
			checkSameBytes(t, b, plain)
		})
	}
}

func checkSummary(t *testing.T, b Batch) {
	t.Helper()
	sum, err := b.Check(new(Scratch), testLimit)
	start := goldenEntries()[0].time
	want := Summary{Count: 4, MinTimestamp: start - 100, MaxTimestamp: start + 5, OffsetDeltaOfMaxTimestamp: 1, FirstWithoutKey: 0}
	if err != nil || sum != want {
		t.Errorf("Check = %+v, %v, want %+v", sum, err, want)
	}
}

// checkSameBytes wants what Kafka stored, unpacked, to be to the byte what Builder makes, but for the fields that Kafka and the
// producer's id fill in.
func checkSameBytes(t *testing.T, stored, built Batch) {
	t.Helper()
	plain, err := stored.Recompress(new(Scratch), nil, compress.None, 0, testLimit)
	if err != nil {
		t.Fatal(err)
	}
	plain.SetPartitionLeaderEpoch(None)
	plain.putInt64(atProducerID, None)
	plain.putInt16(atProducerEpoch, None)
	plain.putInt32(atBaseSequence, None)
	plain.Seal()
	if !bytes.Equal(plain, built) {
		t.Errorf("Kafka's header %x\nours           %x", plain[:HeaderSize], built[:HeaderSize])
	}
}

func TestControlBatchesOfKafkaRead(t *testing.T) {
	for file, want := range map[string]int16{"commit": ControlCommit, "abort": ControlAbort} {
		data, rest := loadBatch(t, file)
		if a := data.Attributes(); !a.Transactional() || a.Control() || data.ProducerID() < 0 {
			t.Errorf("%s: data batch %x", file, data)
		}
		marker, rest, err := Next(rest)
		if err != nil || len(rest) > 0 || marker.Verify() != nil {
			t.Fatalf("%s: %v, %d bytes follow", file, err, len(rest))
		}
		if a := marker.Attributes(); !a.Transactional() || !a.Control() {
			t.Errorf("%s: attributes %x", file, int16(a))
		}
		checkSameMarker(t, marker, want)
	}
}

// checkSameMarker reads a marker, and wants Builder to make the same to the byte.
func checkSameMarker(t *testing.T, marker Batch, want int16) {
	t.Helper()
	builder := NewBuilder()
	builder.Transactional, builder.Control = true, true
	builder.BaseOffset, builder.LeaderEpoch = marker.BaseOffset(), marker.PartitionLeaderEpoch()
	builder.ProducerID, builder.ProducerEpoch = marker.ProducerID(), marker.ProducerEpoch()
	err := marker.Each(new(Scratch), testLimit, func(r *Record) error {
		if version, kind, ok := ControlType(r.Key); !ok || version != 0 || kind != want {
			t.Errorf("control record version %d kind %d %v, want kind %d", version, kind, ok, want)
		}
		epoch, ok := EndTxnEpoch(r.Value)
		if !ok {
			t.Errorf("no coordinator epoch in %x", r.Value)
		}
		builder.Append(marker.Timestamp(r), AppendControlKey(nil, want), AppendEndTxnValue(nil, epoch))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if built, err := builder.Build(nil); err != nil || !bytes.Equal(built, marker) {
		t.Errorf("%v\nKafka's %x\nours    %x", err, []byte(marker), []byte(built))
	}
}

// TestTheDocumentShowsTheMarker wants the bytes drawn in the description of the format to be those that Kafka wrote.
func TestTheDocumentShowsTheMarker(t *testing.T) {
	text, err := os.ReadFile("../../docs/formats/record-batch.md")
	if err != nil {
		t.Fatal(err)
	}
	_, drawn, _ := strings.Cut(string(text), "as Kafka 4.3 wrote it:\n\n```\n")
	drawn, _, _ = strings.Cut(drawn, "```")
	var digits strings.Builder
	for line := range strings.Lines(drawn) {
		column, _, _ := strings.Cut(line, "   ")
		digits.WriteString(strings.ReplaceAll(column, " ", ""))
	}
	_, marker := loadBatch(t, "commit")
	if want := hex.EncodeToString(marker); digits.String() != want {
		t.Errorf("the document shows %s\nKafka wrote        %s", digits.String(), want)
	}
}
