package broker

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol/compress"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/test/wire"
)

// TestRoundTrip: what a client produces with any codec, a client fetches, with
// headers, null keys and null values as they were.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	sent := []*kgo.Record{
		{Key: []byte("k"), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "h", Value: nil}, {Key: "", Value: []byte{}}}},
		{Key: nil, Value: []byte("no key")},
		{Key: []byte("no value"), Value: nil},
		{Key: []byte{}, Value: []byte{}},
		{Value: bytes.Repeat([]byte("long "), 30_000)},
	}
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			n.create(nil, name)
			cl := n.client(kgo.ProducerBatchCompression(codec), kgo.ConsumeTopics(name), kgo.DefaultProduceTopic(name))
			var batch []*kgo.Record
			for i, r := range sent {
				batch = append(batch, &kgo.Record{Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: time.UnixMilli(time.Now().UnixMilli() - int64(i))})
			}
			if err := cl.ProduceSync(deadline(t), batch...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			for i, got := range take(t, cl, len(sent)) {
				same(t, i, batch[i], got)
			}
		})
	}
}

// take polls until it has want records.
func take(t *testing.T, cl *kgo.Client, want int) (got []*kgo.Record) {
	t.Helper()
	ctx := deadline(t)
	for len(got) < want {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(got), want, err)
		}
		got = append(got, fetches.Records()...)
	}
	return got
}

func same(t *testing.T, i int, want, got *kgo.Record) {
	t.Helper()
	sameBytes := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
	if !sameBytes(want.Key, got.Key) || !sameBytes(want.Value, got.Value) || !want.Timestamp.Equal(got.Timestamp) || got.Offset != int64(i) {
		t.Errorf("record %d is %+v, want %+v", i, got, want)
	}
	if !slices.EqualFunc(want.Headers, got.Headers, func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && sameBytes(a.Value, b.Value) }) {
		t.Errorf("record %d has headers %v, want %v", i, got.Headers, want.Headers)
	}
}

// TestTopicCodec: a topic's compression.type decides what is stored, whatever the
// producer sent, at once when it is changed.
func TestTopicCodec(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	codecs := map[string]compress.Codec{"uncompressed": compress.None, "gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.LZ4, "zstd": compress.Zstd}
	for name, want := range codecs {
		n.create(map[string]string{"compression.type": name}, name)
		for from, codec := range codecs {
			b := record.NewBuilder()
			b.Codec = codec
			for i := range 20 {
				b.Append(time.Now().UnixMilli(), []byte("key"), fmt.Append(nil, "value ", i), record.Header{Key: []byte("a"), Value: []byte("b")})
			}
			answer := n.put(name, build(t, b))
			if answer.ErrorCode != 0 {
				t.Fatalf("%s into %s: error %d", from, name, answer.ErrorCode)
			}
			got := n.get(name, answer.BaseOffset)
			batch, _, err := record.Next(got.RecordBatches)
			if err != nil || batch.Attributes().Codec() != want || batch.Count() != 20 {
				t.Errorf("%s into %s is stored as %v with %d records (%v)", from, name, batch.Attributes().Codec(), batch.Count(), err)
			}
			if vs := stored(t, got); len(vs) != 20 || vs[19] != "value 19" {
				t.Errorf("%s into %s gives back %q", from, name, vs)
			}
		}
	}
}

// TestTimestamps: LogAppendTime overrides the producer's, and times too far from
// the broker's are refused record by record.
func TestTimestamps(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	n.create(map[string]string{"message.timestamp.type": "LogAppendTime"}, "appended")
	n.create(map[string]string{"message.timestamp.before.max.ms": "60000", "message.timestamp.after.max.ms": "60000"}, "bounded")

	old := record.NewBuilder()
	old.Append(1_000, nil, []byte("old"))
	before := time.Now().UnixMilli()
	answer := n.put("appended", build(t, old))
	after := time.Now().UnixMilli()
	if answer.ErrorCode != 0 || answer.LogAppendTime < before || answer.LogAppendTime > after {
		t.Errorf("LogAppendTime answers error %d, time %d; it was between %d and %d", answer.ErrorCode, answer.LogAppendTime, before, after)
	}
	batch, _, _ := record.Next(n.get("appended", 0).RecordBatches)
	if !batch.Attributes().LogAppendTime() || batch.MaxTimestamp() != answer.LogAppendTime || batch.Verify() != nil {
		t.Errorf("the batch has time %d (%v), the answer said %d", batch.MaxTimestamp(), batch.Verify(), answer.LogAppendTime)
	}

	for name, shift := range map[string]time.Duration{"past": -2 * time.Minute, "future": 2 * time.Minute} {
		b := record.NewBuilder()
		b.Append(time.Now().UnixMilli(), nil, []byte("good"))
		b.Append(time.Now().Add(shift).UnixMilli(), nil, []byte("bad"))
		answer := n.put("bounded", build(t, b))
		if answer.ErrorCode != kerr.InvalidTimestamp.Code || len(answer.ErrorRecords) != 1 || answer.ErrorRecords[0].RelativeOffset != 1 {
			t.Errorf("%s: error %d, records %+v", name, answer.ErrorCode, answer.ErrorRecords)
		}
	}
	n.mustPut("bounded", "now")
	n.holds("bounded", 0, "now")
}

// TestRefusedBatches: a batch that is not sound is refused with Kafka's code,
// leaves nothing behind, and does not hold up the next.
func TestRefusedBatches(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	n.create(map[string]string{"max.message.bytes": "2000"}, "plain")
	n.create(map[string]string{"cleanup.policy": "compact"}, "compacted")
	n.create(map[string]string{"message.timestamp.type": "LogAppendTime"}, "appended")
	big := record.NewBuilder()
	big.Append(time.Now().UnixMilli(), nil, bytes.Repeat([]byte{'x'}, 2000))
	producer := record.NewBuilder()
	producer.ProducerID, producer.ProducerEpoch, producer.BaseSequence = 7, 0, -1
	producer.Append(time.Now().UnixMilli(), nil, []byte("x"))
	control := record.NewBuilder()
	control.Control = true
	control.Append(time.Now().UnixMilli(), record.AppendControlKey(nil, 0), []byte{0, 0, 0, 0, 0, 0})
	// edit changes a sound batch and seals it again.
	edit := func(at int, to ...byte) []byte {
		b := values(t, "a", "b")
		copy(b[at:], to)
		b.Seal()
		return b
	}
	flipped := values(t, "a", "b")
	flipped[len(flipped)-2] ^= 1
	for _, c := range []struct {
		name, topic string
		batch       []byte
		want        *kerr.Error
	}{
		{"crc", "plain", flipped, kerr.CorruptMessage},
		{"cut", "plain", values(t, "a")[:40], kerr.InvalidRecord},
		{"nothing", "plain", nil, kerr.InvalidRecord},
		{"two batches", "plain", slices.Concat([]byte(values(t, "a")), []byte(values(t, "b"))), kerr.InvalidRecord},
		{"magic 1", "plain", edit(16, 1), kerr.InvalidRecord},
		{"count too high", "plain", edit(57, 0, 0, 0, 3), kerr.InvalidRecord},
		{"count too low", "plain", edit(57, 0, 0, 0, 1), kerr.InvalidRecord},
		{"count negative", "plain", edit(57, 0xff, 0xff, 0xff, 0xff), kerr.InvalidRecord},
		{"count and delta forged", "plain", edit(23, slices.Concat([]byte{0, 0, 0, 9}, values(t, "a", "b")[27:57], []byte{0, 0, 0, 10})...), kerr.InvalidRecord},
		{"last offset delta", "plain", edit(23, 0, 0, 0, 7), kerr.InvalidRecord},
		{"base offset", "plain", edit(0, 0, 0, 0, 0, 0, 0, 0, 5), kerr.InvalidRecord},
		{"codec", "plain", edit(21, 0, 7), kerr.UnsupportedCompressionType},
		{"not gzip", "plain", edit(21, 0, 1), kerr.UnknownServerError},
		{"log append time", "appended", edit(21, 0, 8), kerr.InvalidTimestamp},
		{"transactional", "plain", edit(21, 0, 16), kerr.TransactionalIDAuthorizationFailed},
		{"control", "plain", build(t, control), kerr.InvalidRecord},
		{"no sequence", "plain", build(t, producer), kerr.InvalidRecord},
		{"too large", "plain", build(t, big), kerr.MessageTooLarge},
		{"no key", "compacted", values(t, "a"), kerr.InvalidRecord},
		{"no topic", "missing", values(t, "a"), kerr.UnknownTopicOrPartition},
	} {
		if got := n.put(c.topic, c.batch); got.ErrorCode != c.want.Code || got.BaseOffset != -1 {
			t.Errorf("%s: error %v, base offset %d; want %v", c.name, kerr.ErrorForCode(got.ErrorCode), got.BaseOffset, c.want)
		}
	}
	n.mustPut("plain", "good")
	n.holds("plain", 0, "good")
	if a := ask[*kmsg.ProduceResponse](n, produceRequest(9, "plain", 0, 2, values(t, "x"))); a.Topics[0].Partitions[0].ErrorCode != kerr.InvalidRequiredAcks.Code {
		t.Errorf("acks=2 is answered with %d", a.Topics[0].Partitions[0].ErrorCode)
	}
}

// sequenced is a batch of an idempotent producer.
func sequenced(t testing.TB, id int64, epoch int16, sequence int32, vs ...string) record.Batch {
	b := record.NewBuilder()
	b.ProducerID, b.ProducerEpoch, b.BaseSequence = id, epoch, sequence
	for _, v := range vs {
		b.Append(time.Now().UnixMilli(), nil, []byte(v))
	}
	return build(t, b)
}

// TestSequences: each of a producer's batches is stored once and in order, also
// when the broker was started again in between.
func TestSequences(t *testing.T) {
	t.Parallel()
	fs := disk.NewMemory()
	n := start(t, fs, "/d")
	n.create(nil, "t")
	expect := func(what string, batch record.Batch, want error, base int64) {
		t.Helper()
		answer := n.put("t", batch)
		if got := kerr.ErrorForCode(answer.ErrorCode); !errors.Is(got, want) || answer.BaseOffset != base {
			t.Errorf("%s: %v at %d, want %v at %d", what, got, answer.BaseOffset, want, base)
		}
	}
	expect("first", sequenced(t, 5, 0, 0, "a", "b"), nil, 0)
	expect("next", sequenced(t, 5, 0, 2, "c"), nil, 2)
	expect("repeated", sequenced(t, 5, 0, 2, "c"), nil, 2)
	expect("repeated first", sequenced(t, 5, 0, 0, "a", "b"), nil, 0)
	expect("gap", sequenced(t, 5, 0, 4, "e"), kerr.OutOfOrderSequenceNumber, -1)
	n.stopClean()
	n = start(t, fs, "/d")
	expect("repeated after a restart", sequenced(t, 5, 0, 2, "c"), nil, 2)
	expect("gap after a restart", sequenced(t, 5, 0, 9, "x"), kerr.OutOfOrderSequenceNumber, -1)
	expect("goes on", sequenced(t, 5, 0, 3, "d"), nil, 3)
	expect("new epoch", sequenced(t, 5, 1, 0, "e"), nil, 4)
	expect("old epoch", sequenced(t, 5, 0, 4, "x"), kerr.InvalidProducerEpoch, -1)
	expect("new epoch not from 0", sequenced(t, 5, 2, 3, "x"), kerr.OutOfOrderSequenceNumber, -1)
	n.holds("t", 0, "a", "b", "c", "d", "e")
}

// TestAcks: no acks is no answer, and a refused one ends the connection.
func TestAcks(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	n.create(nil, "t")
	c := n.dial()
	if err := c.Send(wire.Frame(produceRequest(9, "t", 0, 0, values(t, "none")), 1)); err != nil {
		t.Fatal(err)
	}
	for _, acks := range []int16{1, -1} {
		if a := askOn[*kmsg.ProduceResponse](t, c, produceRequest(9, "t", 0, acks, values(t, fmt.Sprint(acks)))); a.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Errorf("acks=%d: error %d", acks, a.Topics[0].Partitions[0].ErrorCode)
		}
	}
	n.holds("t", 0, "none", "1", "-1")
	if err := c.Send(wire.Frame(produceRequest(9, "missing", 0, 0, values(t, "x")), 9)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Receive(); err == nil {
		t.Error("a refused produce with acks=0 is answered")
	}
}

// TestProducesInFlight: many produces on one connection at once are appended and
// answered in order.
func TestProducesInFlight(t *testing.T) {
	t.Parallel()
	fs := disk.NewFaulty(disk.NewMemory())
	fs.SlowSync(2 * time.Millisecond)
	n := start(t, fs, "/d")
	n.create(nil, "t")
	c := n.dial()
	const count = 300
	go func() {
		for i := range count {
			if c.Send(wire.Frame(produceRequest(9, "t", 0, -1, sequenced(t, 1, 0, int32(i), fmt.Sprint(i))), int32(i))) != nil {
				return
			}
		}
	}()
	for i := range count {
		frame, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		resp, err := wire.Decode(produceRequest(9, "t", 0, -1, nil), frame)
		if err != nil {
			t.Fatal(err)
		}
		if p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != int64(i) {
			t.Fatalf("answer %d: error %d, offset %d", i, p.ErrorCode, p.BaseOffset)
		}
	}
}

// TestProduceVersions: every version that carries record batches stores them;
// older ones are refused.
func TestProduceVersions(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	n.create(nil, "t")
	id := topicID(t, n, "t")
	for v := int16(3); v <= 13; v++ {
		req := produceRequest(v, "t", 0, -1, values(t, fmt.Sprint(v)))
		if v >= 13 {
			req.Topics[0].Topic, req.Topics[0].TopicID = "", id
		}
		answer := ask[*kmsg.ProduceResponse](n, req).Topics[0]
		if p := answer.Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != int64(v-3) {
			t.Errorf("version %d: %+v", v, p)
		}
	}
	z := record.NewBuilder()
	z.Codec = compress.Zstd
	z.Append(time.Now().UnixMilli(), nil, []byte(strings.Repeat("z", 100)))
	if p := ask[*kmsg.ProduceResponse](n, produceRequest(6, "t", 0, -1, build(t, z))).Topics[0].Partitions[0]; p.ErrorCode != kerr.UnsupportedCompressionType.Code {
		t.Errorf("zstd at version 6: error %d", p.ErrorCode)
	}
	unknown := produceRequest(13, "", 0, -1, values(t, "x"))
	unknown.Topics[0].TopicID = [16]byte{1}
	if p := ask[*kmsg.ProduceResponse](n, unknown).Topics[0].Partitions[0]; p.ErrorCode != kerr.UnknownTopicID.Code {
		t.Errorf("an unknown topic id: error %d", p.ErrorCode)
	}
}

func topicID(t testing.TB, n *node, topic string) [16]byte {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	req.Topics = append(req.Topics, asked)
	answer := ask[*kmsg.MetadataResponse](n, req).Topics[0]
	if answer.ErrorCode != 0 {
		t.Fatalf("metadata of %s: %v", topic, kerr.ErrorForCode(answer.ErrorCode))
	}
	return answer.TopicID
}
