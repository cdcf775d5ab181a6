package broker

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/test/wire"
)

// patience is how long a test waits for what must come, far more than it takes.
const patience = 20 * time.Second

// node is a broker that a test runs.
type node struct {
	*Broker
	t      testing.TB
	addr   string
	log    *safeBuffer
	cancel context.CancelFunc
	ended  chan error
	once   sync.Once
	err    error
}

// safeBuffer takes a log that many goroutines write.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// settings are a broker's for tests: any free port, no HTTP, groups that do not
// wait for more members; sets come over them.
func settings(t testing.TB, dir string, sets ...string) *config.Broker {
	t.Helper()
	c, _, err := config.Load("", nil, append([]string{
		"listeners=PLAINTEXT://127.0.0.1:0", "klamm.http.listener=", "log.dirs=" + dir,
		"group.initial.rebalance.delay.ms=0", "offsets.topic.num.partitions=2", "transaction.state.log.num.partitions=2",
	}, sets...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// begin makes and runs a broker, or says why it cannot be made.
func begin(t testing.TB, fs disk.FS, dir string, sets ...string) (*node, error) {
	t.Helper()
	n := &node{t: t, log: &safeBuffer{}, ended: make(chan error, 1)}
	b, err := New(settings(t, dir, sets...), Deps{FS: fs, Logger: slog.New(slog.NewTextHandler(n.log, nil)), Version: "test"})
	if err != nil {
		return nil, err
	}
	n.Broker, n.addr = b, b.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go func() { n.ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		n.stop()
		if t.Failed() {
			t.Logf("the broker's log:\n%s", n.log)
		}
	})
	return n, nil
}

// start is begin where nothing can be wrong.
func start(t testing.TB, fs disk.FS, dir string, sets ...string) *node {
	t.Helper()
	n, err := begin(t, fs, dir, sets...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// stop ends the broker as a signal does and returns what Run returned.
func (n *node) stop() error {
	n.once.Do(func() {
		n.cancel()
		select {
		case n.err = <-n.ended:
		case <-time.After(patience):
			n.err = fmt.Errorf("the broker did not stop within %v", patience)
			n.t.Error(n.err)
		}
	})
	return n.err
}

// stopClean is stop where an error is the test's failure.
func (n *node) stopClean() {
	n.t.Helper()
	if err := n.stop(); err != nil {
		n.t.Fatalf("the stop: %v", err)
	}
}

// client returns a franz-go client of the broker that is closed with the test.
func (n *node) client(opts ...kgo.Opt) *kgo.Client {
	n.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(n.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.MetadataMinAge(20 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
	}, opts...)...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(cl.Close)
	return cl
}

// create makes topics of one partition.
func (n *node) create(configs map[string]string, topics ...string) {
	n.t.Helper()
	n.createWith(1, configs, topics...)
}

func (n *node) createWith(partitions int32, configs map[string]string, topics ...string) {
	n.t.Helper()
	values := map[string]*string{}
	for k, v := range configs {
		values[k] = &v
	}
	adm := kadm.NewClient(n.client())
	answers, err := adm.CreateTopics(deadline(n.t), partitions, 1, values, topics...)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		n.t.Fatalf("create %v: %v", topics, err)
	}
}

// deadline is a context for what must not take long.
func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until holds, looking again and again.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// dial opens a connection to ask by hand.
func (n *node) dial() *wire.Conn {
	n.t.Helper()
	c, err := wire.Dial(n.addr)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { c.Close() })
	return c
}

// ask sends one request on a connection of its own.
func ask[R kmsg.Response](n *node, req kmsg.Request) R {
	n.t.Helper()
	return askOn[R](n.t, n.dial(), req)
}

func askOn[R kmsg.Response](t testing.TB, c *wire.Conn, req kmsg.Request) R {
	t.Helper()
	resp, err := c.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.(R)
}

// values makes one batch of records with these values, timed now.
func values(t testing.TB, vs ...string) record.Batch {
	t.Helper()
	b := record.NewBuilder()
	for _, v := range vs {
		b.Append(time.Now().UnixMilli(), nil, []byte(v))
	}
	return build(t, b)
}

func build(t testing.TB, b *record.Builder) record.Batch {
	t.Helper()
	batch, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// produceRequest carries one batch to one partition.
func produceRequest(version int16, topic string, partition int32, acks int16, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, acks, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// put produces one batch and returns the partition's answer.
func (n *node) put(topic string, batch []byte) kmsg.ProduceResponseTopicPartition {
	n.t.Helper()
	return ask[*kmsg.ProduceResponse](n, produceRequest(9, topic, 0, -1, batch)).Topics[0].Partitions[0]
}

// mustPut is put where an error is the test's failure.
func (n *node) mustPut(topic string, vs ...string) (base int64) {
	n.t.Helper()
	a := n.put(topic, values(n.t, vs...))
	if a.ErrorCode != 0 {
		n.t.Fatalf("produce to %s: error %d: %v", topic, a.ErrorCode, *a.ErrorMessage)
	}
	return a.BaseOffset
}

// fetchRequest asks one partition for what is there now.
func fetchRequest(version int16, topic string, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.MinBytes, req.MaxWaitMillis = version, 50<<20, 0, 0
	req.ReplicaID = -1
	req.SessionEpoch = -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = offset, 50<<20, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// get fetches from offset and returns the partition's answer.
func (n *node) get(topic string, offset int64) kmsg.FetchResponseTopicPartition {
	n.t.Helper()
	return ask[*kmsg.FetchResponse](n, fetchRequest(11, topic, offset)).Topics[0].Partitions[0]
}

// stored are the values of all records in a partition's answer.
func stored(t testing.TB, answer kmsg.FetchResponseTopicPartition) (vs []string) {
	t.Helper()
	for rest := answer.RecordBatches; len(rest) > 0; {
		batch, after, err := record.Next(rest)
		if err != nil {
			t.Fatalf("records in a fetch's answer: %v", err)
		}
		if err := batch.Verify(); err != nil {
			t.Fatalf("a batch in a fetch's answer: %v", err)
		}
		rest = after
		var scratch record.Scratch
		if err := batch.Each(&scratch, 1<<30, func(r *record.Record) error {
			vs = append(vs, string(r.Value))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return vs
}

// holds checks what a topic's only partition holds from offset on.
func (n *node) holds(topic string, offset int64, want ...string) {
	n.t.Helper()
	answer := n.get(topic, offset)
	if answer.ErrorCode != 0 {
		n.t.Fatalf("fetch %s from %d: error %d", topic, offset, answer.ErrorCode)
	}
	if got := stored(n.t, answer); strings.Join(got, ",") != strings.Join(want, ",") {
		n.t.Fatalf("%s from %d holds %q, want %q", topic, offset, got, want)
	}
}

// putTo produces one batch to one partition and returns the error's code.
func (n *node) putTo(topic string, partition int32, batch []byte) int16 {
	n.t.Helper()
	return ask[*kmsg.ProduceResponse](n, produceRequest(9, topic, partition, -1, batch)).Topics[0].Partitions[0].ErrorCode
}

// fetched sends a fetch of one partition and returns its answer.
func (n *node) fetched(req *kmsg.FetchRequest) kmsg.FetchResponseTopicPartition {
	n.t.Helper()
	return ask[*kmsg.FetchResponse](n, req).Topics[0].Partitions[0]
}
