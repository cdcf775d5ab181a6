//go:build compat

package compat

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/test/brokers"
)

// compactedTopic is written alike on both brokers, then compacted by each.
const compactedTopic = "compacted"

// writeKeyed writes records of few keys, some without a value, some in
// transactions of either end, with every codec. What comes after the offset that
// it returns makes the segments before it end.
func writeKeyed(t *testing.T, b *brokers.Broker) (end int64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for round := range 10 {
		opts := []kgo.Opt{
			kgo.SeedBrokers(b.Addr), kgo.DefaultProduceTopic(compactedTopic), kgo.ProducerBatchCompression(codecs[round%5]), kgo.ProducerLinger(20 * time.Millisecond),
		}
		if round%2 == 1 {
			opts = append(opts, kgo.TransactionalID("keyed"))
		}
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			end = writeKeyedBatch(t, cl, rng, round, kgo.TransactionEndTry(i%2 == 0))
		}
		cl.Close()
	}
	fillerClient, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.DefaultProduceTopic(compactedTopic), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer fillerClient.Close()
	for range 4 {
		if err := fillerClient.ProduceSync(t.Context(), &kgo.Record{Key: []byte("filler"), Value: make([]byte, 700_000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	return end
}

func writeKeyedBatch(t *testing.T, cl *kgo.Client, rng *rand.Rand, round int, commit kgo.TransactionEndTry) (end int64) {
	t.Helper()
	transactional := round%2 == 1
	if transactional {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
	}
	records := make([]*kgo.Record, 500)
	for i := range records {
		r := &kgo.Record{Key: fmt.Appendf(nil, "key-%d", rng.IntN(700)), Timestamp: time.UnixMilli(1_700_000_000_000 + int64(rng.IntN(1000)))}
		if rng.IntN(10) > 0 {
			r.Value = []byte(strings.Repeat(fmt.Sprintf("%d.%d|", round, i), 40))
		}
		records[i] = r
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	end = records[len(records)-1].Offset + 1
	if transactional {
		if err := cl.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
		end++
	}
	return end
}

// survivors reads all records below end that are left, whatever became of their
// transactions.
func survivors(t *testing.T, b *brokers.Broker, end int64) (lines []string, keys map[string]int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{compactedTopic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	keys = map[string]int{}
	for {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			if r.Offset >= end {
				return lines, keys
			}
			lines = append(lines, fmt.Sprintf("%d %s %d %q", r.Offset, r.Key, r.Timestamp.UnixMilli(), r.Value))
			keys[string(r.Key)]++
		}
	}
}

// compacted starts a broker, writes, and waits until each key below the end of
// what was compared is there once.
func compacted(t *testing.T, b *brokers.Broker) []string {
	t.Helper()
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Kill() })
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(t.Context(), 1, 1, map[string]*string{
		"cleanup.policy": kadm.StringPtr("compact"), "segment.bytes": kadm.StringPtr("1048576"), "min.cleanable.dirty.ratio": kadm.StringPtr("0.01"),
	}, compactedTopic); err != nil {
		t.Fatal(err)
	}
	if err := awaitLeaders(t.Context(), adm, compactedTopic, 1); err != nil {
		t.Fatal(err)
	}
	end := writeKeyed(t, b)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		lines, keys := survivors(t, b, end)
		if len(lines) == len(keys) {
			return lines
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has %d records of %d keys", b.Name, len(lines), len(keys))
		}
	}
}

// gaps is what dump-log says of offsets that compaction took away, of Apache's own
// files as well.
var gaps = regexp.MustCompile(`Non-consecutive offsets in \S+\n(\s+-?\d+ is followed by \d+\n)+`)

// TestCompactionIsThatOfApache writes the same to both brokers: both keep the same
// records, and Apache's dump-log reads what ours wrote.
func TestCompactionIsThatOfApache(t *testing.T) {
	box := tools(t)
	settings := map[string]string{"log.cleaner.backoff.ms": "200", "transaction.state.log.num.partitions": "1", "offsets.topic.num.partitions": "1"}
	ours, err := brokers.Klamm(brokers.Options{Dir: t.TempDir(), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := brokers.Apache(brokers.Options{Dir: t.TempDir(), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	have, want := compacted(t, ours), compacted(t, theirs)
	if len(have) < 100 || strings.Join(have, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d records are left, Apache leaves %d; the first that differs: %s", len(have), len(want), firstDifference(have, want))
	}
	if err := ours.Stop(); err != nil {
		t.Fatal(err)
	}
	dump := box.MustRun(t, "dump-log", "--deep-iteration", "--files", strings.Join(files(t, ours.Data, compactedTopic+"-0/*.log"), ","))
	unblemished(t, gaps.ReplaceAllString(dump, ""))
	if n := strings.Count(dump, "| offset: "); n < len(have) {
		t.Errorf("dump-log reads %d records, want %d at least", n, len(have))
	}
	indexes := append(files(t, ours.Data, compactedTopic+"-0/*.index"), files(t, ours.Data, compactedTopic+"-0/*.timeindex")...)
	unblemished(t, box.MustRun(t, "dump-log", "--verify-index-only", "--files", strings.Join(indexes, ",")))
}

func firstDifference(have, want []string) string {
	for i := range min(len(have), len(want)) {
		if have[i] != want[i] {
			return fmt.Sprintf("%.80s, Apache %.80s", have[i], want[i])
		}
	}
	return "one is longer"
}
