package record

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol/compress"
)

// The tests of this file talk to a real Kafka and run only where the environment names one:
//
//	KLAMM_KAFKA=127.0.0.1:9092 go test ./protocol/record -run Kafka
//
// TestKafkaRecordsGoldens writes testdata/kafka anew.

func kafkaClient(t *testing.T, opts ...kgo.Opt) (*kgo.Client, context.Context) {
	t.Helper()
	address := os.Getenv("KLAMM_KAFKA")
	if address == "" {
		t.Skip("KLAMM_KAFKA names no broker")
	}
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(address), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return client, ctx
}

// newTopic makes a topic of one partition that ends with the test.
func newTopic(t *testing.T, ctx context.Context, client *kgo.Client, codec string) string {
	t.Helper()
	admin, name := kadm.NewClient(client), "record-test-"+strings.ToLower(rand.Text())
	if _, err := admin.CreateTopic(ctx, 1, 1, map[string]*string{"compression.type": &codec}, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.DeleteTopics(context.Background(), name); err != nil {
			t.Log(err)
		}
	})
	return name
}

// request asks the leader of the topic's only partition, which is the only broker.
func request(t *testing.T, ctx context.Context, client *kgo.Client, req kmsg.Request) kmsg.Response {
	t.Helper()
	brokers, err := kadm.NewClient(client).ListBrokers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Broker(int(brokers[0].NodeID)).Request(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func topicID(t *testing.T, ctx context.Context, client *kgo.Client, topic string) [16]byte {
	t.Helper()
	details, err := kadm.NewClient(client).ListTopics(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	return details[topic].ID
}

// fetchRaw gets the bytes of a partition from its start, as they are stored.
func fetchRaw(t *testing.T, ctx context.Context, client *kgo.Client, topic string) []byte {
	t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.MinBytes, req.MaxWaitMillis = 1<<24, 1, 5000
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic, ft.TopicID = topic, topicID(t, ctx, client, topic)
	fp := kmsg.NewFetchRequestTopicPartition()
	fp.PartitionMaxBytes = 1 << 24
	ft.Partitions = append(ft.Partitions, fp)
	req.Topics = append(req.Topics, ft)
	got := request(t, ctx, client, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		t.Fatal(err)
	}
	return got.RecordBatches
}

func kafkaRecords(topic string) []*kgo.Record {
	var out []*kgo.Record
	for _, e := range goldenEntries() {
		r := &kgo.Record{Topic: topic, Timestamp: time.UnixMilli(e.time), Key: e.key, Value: e.value}
		for _, h := range e.headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
		}
		out = append(out, r)
	}
	return out
}

func save(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("testdata", "kafka", name+".bin"), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestKafkaRecordsGoldens(t *testing.T) {
	for name, codec := range map[string]kgo.CompressionCodec{
		"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		recordGolden(t, "client-"+name, codec, "producer")
		recordGolden(t, "broker-"+name, kgo.NoCompression(), name)
	}
	recordGolden(t, "broker-none", kgo.NoCompression(), "uncompressed")
}

func recordGolden(t *testing.T, name string, client kgo.CompressionCodec, topicCodec string) {
	t.Run(name, func(t *testing.T) {
		client, ctx := kafkaClient(t, kgo.ProducerBatchCompression(client), kgo.ProducerLinger(time.Second))
		topic := newTopic(t, ctx, client, topicCodec)
		if err := client.ProduceSync(ctx, kafkaRecords(topic)...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		save(t, name, fetchRaw(t, ctx, client, topic))
	})
}

func TestKafkaRecordsGoldenTransactions(t *testing.T) {
	for name, end := range map[string]kgo.TransactionEndTry{"commit": kgo.TryCommit, "abort": kgo.TryAbort} {
		client, ctx := kafkaClient(t, kgo.TransactionalID("record-test-"+rand.Text()))
		topic := newTopic(t, ctx, client, "producer")
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the marker follows the answer
		save(t, name, fetchRaw(t, ctx, client, topic))
	}
}

// TestKafkaReadsWhatIsBuilt hands batches of every codec and level to a topic of another codec, so that Kafka must unpack them.
func TestKafkaReadsWhatIsBuilt(t *testing.T) {
	for _, codec := range []compress.Codec{0, 1, 2, 3, 4} {
		lowest, highest, _ := codec.Levels()
		for level := max(lowest, -1); level <= highest; level++ {
			t.Run(fmt.Sprintf("%s %d", codec, level), func(t *testing.T) {
				client, ctx := kafkaClient(t)
				target := "gzip"
				if codec == compress.Gzip {
					target = "uncompressed"
				}
				topic := newTopic(t, ctx, client, target)
				produceRaw(t, ctx, client, topic, buildGolden(t, codec, level))
				stored, rest, err := Next(fetchRaw(t, ctx, client, topic))
				if err != nil || len(rest) > 0 || stored.Verify() != nil {
					t.Fatalf("stored batch: %v, %v", err, stored.Verify())
				}
				if got, err := readBack(stored); err != nil || !slices.EqualFunc(got, goldenEntries(), entry.equal) {
					t.Fatalf("Kafka read other records: %v", err)
				}
			})
		}
	}
}

func produceRaw(t *testing.T, ctx context.Context, client *kgo.Client, topic string, b Batch) {
	t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 5000
	pt := kmsg.NewProduceRequestTopic()
	pt.Topic, pt.TopicID = topic, topicID(t, ctx, client, topic)
	pp := kmsg.NewProduceRequestTopicPartition()
	pp.Records = bytes.Clone(b)
	pt.Partitions = append(pt.Partitions, pp)
	req.Topics = append(req.Topics, pt)
	got := request(t, ctx, client, req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		t.Fatalf("produce: %v %v", err, got.ErrorMessage)
	}
}
