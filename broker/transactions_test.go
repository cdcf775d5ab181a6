package broker

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
	"github.com/klamm-io/klamm/test/wire"
)

// txnClients are clients of both protocols: the new one, where each transaction
// has an epoch of its own, and that of before.
var txnClients = map[string][]kgo.Opt{"own epochs": nil, "shared epoch": {kgo.MaxVersions(kversion.V3_7_0())}}

// TestTransactions: readers of committed records get those of committed
// transactions, others get all; a restart in the middle of a transaction changes
// nothing.
func TestTransactions(t *testing.T) {
	t.Parallel()
	for name, opts := range txnClients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := disk.NewMemory()
			n := start(t, fs, "/d")
			n.createWith(2, nil, "t")
			cl := n.client(append(opts, kgo.TransactionalID("x"), kgo.DefaultProduceTopic("t"))...)
			write := func(value string, end kgo.TransactionEndTry) {
				t.Helper()
				if err := cl.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				for p := range int32(2) {
					if err := cl.ProduceSync(deadline(t), &kgo.Record{Partition: p, Value: []byte(value)}).FirstErr(); err != nil {
						t.Fatalf("%s: %v", value, err)
					}
				}
				if err := cl.EndTransaction(deadline(t), end); err != nil {
					t.Fatalf("end of %s: %v", value, err)
				}
			}
			for i := range 5 {
				write(fmt.Sprint("good ", i), kgo.TryCommit)
				write(fmt.Sprint("bad ", i), kgo.TryAbort)
			}
			want := []string{"good 0", "good 1", "good 2", "good 3", "good 4"}
			n.committedAre(want)
			if all := n.read(0, 10); len(all) != 10 || all[1] != "bad 0" {
				t.Errorf("readers of all get %q", all)
			}
			n.stopClean()

			n = start(t, fs, "/d")
			n.committedAre(want)
			d, err := kadm.NewClient(n.client()).DescribeTransactions(deadline(t), "x")
			if err != nil || d["x"].State != "CompleteAbort" || len(d["x"].Topics) != 0 {
				t.Errorf("after a restart the transaction is %+v (%v)", d["x"], err)
			}
		})
	}
}

// read returns what a partition of topic t holds for readers of all.
func (n *node) read(partition int32, count int, opts ...kgo.Opt) (vs []string) {
	n.t.Helper()
	cl := n.client(append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {partition: kgo.NewOffset().AtStart()}}))...)
	for len(vs) < count {
		fetches := cl.PollFetches(deadline(n.t))
		if err := fetches.Err(); err != nil {
			n.t.Fatalf("after %q: %v", vs, err)
		}
		for _, r := range fetches.Records() {
			vs = append(vs, string(r.Value))
		}
	}
	return vs
}

// committedAre checks what readers of committed records get of both partitions of
// topic t.
func (n *node) committedAre(want []string) {
	n.t.Helper()
	for p := range int32(2) {
		if got := n.read(p, len(want), kgo.FetchIsolationLevel(kgo.ReadCommitted())); !slices.Equal(got, want) {
			n.t.Errorf("readers of committed records get %q, want %q", got, want)
		}
	}
}

// byHand is a transactional producer whose every request a test decides.
type byHand struct {
	t        *testing.T
	conn     *wire.Conn
	id       string
	producer int64
	epoch    int16
}

func (n *node) byHand(id string) *byHand { return &byHand{t: n.t.(*testing.T), conn: n.dial(), id: id} }

// init asks for a producer until the transaction before is over.
func (b *byHand) init(timeout int32) {
	b.t.Helper()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorType, find.CoordinatorKeys = 4, 1, []string{b.id}
	askOn[*kmsg.FindCoordinatorResponse](b.t, b.conn, find)
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = 4, &b.id, timeout, -1, -1
	var resp *kmsg.InitProducerIDResponse
	eventually(b.t, "a producer", func() bool {
		resp = askOn[*kmsg.InitProducerIDResponse](b.t, b.conn, req)
		return resp.ErrorCode != kerr.ConcurrentTransactions.Code
	})
	if resp.ErrorCode != 0 {
		b.t.Fatalf("InitProducerId: %v", kerr.ErrorForCode(resp.ErrorCode))
	}
	b.producer, b.epoch = resp.ProducerID, resp.ProducerEpoch
}

func (b *byHand) add(version int16, partitions ...int32) error {
	b.t.Helper()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = version, b.id, b.producer, b.epoch
	req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: partitions}}
	resp := askOn[*kmsg.AddPartitionsToTxnResponse](b.t, b.conn, req)
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

func (b *byHand) end(version int16, commit bool) error {
	b.t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = version, b.id, b.producer, b.epoch, commit
	resp := askOn[*kmsg.EndTxnResponse](b.t, b.conn, req)
	if version >= 5 && resp.ErrorCode == 0 {
		b.producer, b.epoch = resp.ProducerID, resp.ProducerEpoch
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// endSoon is end once the markers of the transaction before are written.
func (b *byHand) endSoon(version int16, commit bool) {
	b.t.Helper()
	var err error
	eventually(b.t, "the end", func() bool {
		err = b.end(version, commit)
		return !errors.Is(err, kerr.ConcurrentTransactions)
	})
	if err != nil {
		b.t.Fatalf("EndTxn: %v", err)
	}
}

func (b *byHand) batch(sequence int32, value string) record.Batch {
	builder := record.NewBuilder()
	builder.Transactional, builder.ProducerID, builder.ProducerEpoch, builder.BaseSequence = true, b.producer, b.epoch, sequence
	builder.Append(time.Now().UnixMilli(), nil, []byte(value))
	return build(b.t, builder)
}

func (b *byHand) produce(version int16, partition, sequence int32) error {
	b.t.Helper()
	req := produceRequest(version, "t", partition, -1, b.batch(sequence, "v"))
	req.TransactionID = &b.id
	resp := askOn[*kmsg.ProduceResponse](b.t, b.conn, req)
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

// lastStable is the last stable offset of a partition of topic t, and its high
// watermark.
func (n *node) lastStable() (stable, end int64) {
	n.t.Helper()
	a := n.get("t", 0)
	return a.LastStableOffset, a.HighWatermark
}

// TestTxnErrors: whoever is not the producer of a transaction, and what does not
// belong to one, is told so with Kafka's codes, and nothing else happens.
func TestTxnErrors(t *testing.T) {
	t.Parallel()
	n := start(t, disk.NewMemory(), "/d")
	n.createWith(2, nil, "t")
	b := n.byHand("x")
	b.init(60_000)
	forged, future, unknown, fenced := *b, *b, *b, *b
	forged.producer += 1000
	future.epoch++
	unknown.id = "nobody"
	for _, c := range []struct {
		what string
		got  error
		want error
	}{
		{"a commit of nothing", b.end(4, true), kerr.InvalidTxnState},
		{"not in the transaction", b.produce(9, 0, 0), kerr.InvalidTxnState},
		{"not in it, said to newer clients", b.produce(11, 0, 0), kerr.TransactionAbortable},
		{"a topic that is not there", func() error {
			req := kmsg.NewPtrAddPartitionsToTxnRequest()
			req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, b.id, b.producer, b.epoch
			req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}, {Topic: "none", Partitions: []int32{0}}, {Topic: "__consumer_offsets", Partitions: []int32{0}}}
			resp := askOn[*kmsg.AddPartitionsToTxnResponse](t, b.conn, req)
			if a, c := resp.Topics[0].Partitions[0].ErrorCode, resp.Topics[2].Partitions[0].ErrorCode; a != kerr.OperationNotAttempted.Code || c != kerr.TopicAuthorizationFailed.Code {
				t.Errorf("the others are answered with %d and %d", a, c)
			}
			return kerr.ErrorForCode(resp.Topics[1].Partitions[0].ErrorCode)
		}(), kerr.UnknownTopicOrPartition},
		{"add", b.add(3, 0), nil},
		{"produce", b.produce(9, 0, 0), nil},
		{"a sequence that jumps", b.produce(9, 0, 7), kerr.OutOfOrderSequenceNumber},
		{"another partition", b.produce(9, 1, 1), kerr.InvalidTxnState},
		{"a forged producer adds", forged.add(3, 1), kerr.InvalidProducerIDMapping},
		{"a forged producer ends", forged.end(3, true), kerr.InvalidProducerIDMapping},
		{"a forged producer produces", forged.produce(9, 0, 0), kerr.InvalidProducerIDMapping},
		{"a forged producer joins", forged.produce(12, 0, 0), kerr.InvalidProducerIDMapping},
		{"a forged epoch adds", future.add(3, 1), kerr.ProducerFenced},
		{"a forged epoch ends", future.end(3, true), kerr.ProducerFenced},
		{"a forged epoch ends, said to old clients", future.end(1, true), kerr.InvalidProducerEpoch},
		{"a forged epoch ends, own epochs", future.end(5, true), kerr.ProducerFenced},
		{"a forged epoch produces", future.produce(9, 0, 1), kerr.InvalidProducerEpoch},
		{"an id that nobody has", unknown.end(5, true), kerr.InvalidProducerIDMapping},
	} {
		if !errors.Is(c.got, c.want) || (c.got != nil) != (c.want != nil) {
			t.Errorf("%s: got %v, want %v", c.what, c.got, c.want)
		}
	}
	if stable, end := n.lastStable(); stable != 0 || end != 1 {
		t.Errorf("an open transaction: last stable offset %d, high watermark %d", stable, end)
	}
	next := n.byHand("x")
	next.init(60_000) // fences, and aborts what is open
	fenced.conn = n.dial()
	for what, got := range map[string]error{
		"adds": fenced.add(3, 1), "commits": fenced.end(4, true), "commits, own epochs": fenced.end(5, true), "produces": fenced.produce(9, 0, 1),
	} {
		if !errors.Is(got, kerr.ProducerFenced) && !errors.Is(got, kerr.InvalidProducerEpoch) {
			t.Errorf("a fenced producer %s: %v", what, got)
		}
	}
	if stable, end := n.lastStable(); stable != end || end != 2 {
		t.Errorf("after the abort: last stable offset %d, high watermark %d", stable, end)
	}
	if a := n.fetched(committedOnly(fetchRequest(11, "t", 0))); len(a.AbortedTransactions) != 1 || a.AbortedTransactions[0].ProducerID != b.producer {
		t.Errorf("aborted are %+v", a.AbortedTransactions)
	}
}

func committedOnly(req *kmsg.FetchRequest) *kmsg.FetchRequest {
	req.IsolationLevel = 1
	return req
}

// TestImplicitPartitions: with Produce 12 the broker takes partitions into the
// transaction, and each end gives the next epoch.
func TestImplicitPartitions(t *testing.T) {
	t.Parallel()
	n := start(t, disk.NewMemory(), "/d")
	n.createWith(2, nil, "t")
	b := n.byHand("x")
	b.init(60_000)
	for i := range int16(5) {
		if b.epoch != i {
			t.Fatalf("transaction %d has epoch %d", i, b.epoch)
		}
		for p := range int32(2) {
			for sequence := range int32(2) {
				if err := b.produce(12, p, sequence); err != nil {
					t.Fatalf("transaction %d: %v", i, err)
				}
			}
		}
		late := *b
		b.endSoon(5, i%2 == 0)
		eventually(t, "the markers", func() bool {
			stable, end := n.lastStable()
			return stable == end && end == 3*int64(i+1)
		})
		if err := late.produce(12, 0, 2); !errors.Is(err, kerr.InvalidProducerEpoch) {
			t.Errorf("a record after the end of transaction %d: %v", i, err)
		}
	}
}

// TestLateRequestsOfOldClients: a client without an epoch for each transaction comes
// back on a new connection; what it had sent on the old one may not end its next
// transaction, nor take partitions into it.
func TestLateRequestsOfOldClients(t *testing.T) {
	t.Parallel()
	n := start(t, disk.NewMemory(), "/d")
	n.createWith(2, nil, "t")
	for what, late := range map[string]func(*byHand) error{
		"commit": func(b *byHand) error { return b.sent(b.endRequest(true)) },
		"abort":  func(b *byHand) error { return b.sent(b.endRequest(false)) },
		"add":    func(b *byHand) error { return b.sent(b.addRequest(1)) },
	} {
		t.Run(what, func(t *testing.T) {
			b := n.byHand("x" + what)
			b.t = t
			b.init(60_000)
			before := *b
			if err := b.add(3, 0); err != nil {
				t.Fatal(err)
			}
			b.conn = n.dial()
			b.endSoon(4, true)
			eventually(t, "the next transaction", func() bool { return b.add(3, 0) == nil })
			if err := late(&before); !errors.Is(err, io.EOF) {
				t.Errorf("the old connection is answered with %v, want it closed", err)
			}
			d, err := n.txns.Describe(b.id)
			if err != nil || d.State.String() != "Ongoing" || len(d.Partitions) != 1 {
				t.Errorf("the next transaction is %+v (%v)", d, err)
			}
			b.endSoon(4, true)
		})
	}
}

func (b *byHand) endRequest(commit bool) kmsg.Request {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = 4, b.id, b.producer, b.epoch, commit
	return req
}

func (b *byHand) addRequest(partition int32) kmsg.Request {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, b.id, b.producer, b.epoch
	req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{partition}}}
	return req
}

func (b *byHand) sent(req kmsg.Request) error {
	_, err := b.conn.RoundTrip(req)
	return err
}

// TestTxnTimeout: a transaction that its producer leaves open is aborted when its
// time is over, and the producer is fenced.
func TestTxnTimeout(t *testing.T) {
	t.Parallel()
	n := start(t, disk.NewMemory(), "/d", "transaction.abort.timed.out.transaction.cleanup.interval.ms=20")
	n.createWith(1, nil, "t")
	b := n.byHand("x")
	b.init(50)
	if err := errors.Join(b.add(3, 0), b.produce(9, 0, 0)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the transaction is aborted", func() bool {
		stable, end := n.lastStable()
		return end == 2 && stable == 2
	})
	if err := b.end(4, true); !errors.Is(err, kerr.ProducerFenced) {
		t.Errorf("its commit is answered with %v", err)
	}
	b.init(60_000)
	if b.epoch != 2 {
		t.Errorf("after the abort the producer goes on with epoch %d", b.epoch)
	}
}

// TestTxnOffsets: offsets that are committed in a transaction count when it
// commits; before, readers who want stable ones are told to wait. A restart in
// between changes nothing.
func TestTxnOffsets(t *testing.T) {
	t.Parallel()
	for _, version := range []int16{3, 5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			t.Parallel()
			fs := disk.NewMemory()
			n := start(t, fs, "/d")
			n.createWith(1, nil, "t")
			adm := kadm.NewClient(n.client())
			var before kadm.Offsets
			before.Add(kadm.Offset{Topic: "t", Partition: 0, At: 3, LeaderEpoch: -1})
			if err := adm.CommitAllOffsets(deadline(t), "g", before); err != nil {
				t.Fatal(err)
			}
			b := n.byHand("x")
			b.init(60_000)
			end := int16(5)
			if version < 5 {
				end = 4
			}
			commit := func(offset int64) {
				t.Helper()
				if version < 5 {
					eventually(t, "the offsets join", func() bool { return b.addOffsets("g") == nil })
				}
				if err := b.commitOffset(version, "g", offset); err != nil {
					t.Fatalf("offset %d: %v", offset, err)
				}
			}
			if err := b.commitOffset(3, "g", 9); !errors.Is(err, kerr.InvalidTxnState) {
				t.Errorf("outside of the transaction: %v", err)
			}
			commit(7)
			n.offsetIs("g", 3, kerr.UnstableOffsetCommit)
			b.endSoon(end, false)
			eventually(t, "the abort", func() bool { return n.stableOffset("g") == 3 })
			commit(8)
			n.stopClean()

			n = start(t, fs, "/d")
			b.conn = n.dial()
			n.offsetIs("g", 3, kerr.UnstableOffsetCommit)
			b.endSoon(end, true)
			eventually(t, "the commit", func() bool { return n.stableOffset("g") == 8 })
			n.stopClean()

			n = start(t, fs, "/d")
			n.offsetIs("g", 8, nil)
		})
	}
}

func (b *byHand) addOffsets(group string) error {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = 3, b.id, b.producer, b.epoch, group
	return kerr.ErrorForCode(askOn[*kmsg.AddOffsetsToTxnResponse](b.t, b.conn, req).ErrorCode)
}

func (b *byHand) commitOffset(version int16, group string, offset int64) error {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group, req.Generation = version, b.id, b.producer, b.epoch, group, -1
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: offset, LeaderEpoch: -1}}}}
	return kerr.ErrorForCode(askOn[*kmsg.TxnOffsetCommitResponse](b.t, b.conn, req).Topics[0].Partitions[0].ErrorCode)
}

func (n *node) fetchOffset(group string, stable bool) kmsg.OffsetFetchResponseGroupTopicPartition {
	n.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.RequireStable = 8, stable
	req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: group, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}}}
	return ask[*kmsg.OffsetFetchResponse](n, req).Groups[0].Topics[0].Partitions[0]
}

func (n *node) stableOffset(group string) int64 { return n.fetchOffset(group, true).Offset }

// offsetIs checks what a group committed, and what readers of stable offsets are
// told.
func (n *node) offsetIs(group string, want int64, stable *kerr.Error) {
	n.t.Helper()
	if got := n.fetchOffset(group, false); got.Offset != want || got.ErrorCode != 0 {
		n.t.Errorf("the offset is %d, error %d; want %d", got.Offset, got.ErrorCode, want)
	}
	code := int16(0)
	if stable != nil {
		code = stable.Code
	}
	if got := n.fetchOffset(group, true); got.ErrorCode != code {
		n.t.Errorf("the stable offset is answered with %d, want %d", got.ErrorCode, code)
	}
}

// TestHangingTransaction: a transaction that no coordinator knows is shown by
// DescribeProducers, and WriteTxnMarkers ends it.
func TestHangingTransaction(t *testing.T) {
	t.Parallel()
	n := start(t, disk.NewMemory(), "/d")
	n.createWith(1, nil, "t")
	p, err := n.partitions.Get("t", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := n.byHand("x")
	b.producer, b.epoch = 4711, 5
	number := p.Log().BeginVerification(b.producer, b.epoch, 0)
	if _, err := p.Append(b.batch(0, "lost"), log.AppendOptions{Now: time.Now(), Verification: number}); err != nil {
		t.Fatal(err)
	}
	n.mustPut("t", "after it")
	if stable, _ := n.lastStable(); stable != 0 {
		t.Fatalf("the last stable offset is %d", stable)
	}
	producers := func() kmsg.DescribeProducersResponseTopicPartition {
		req := kmsg.NewPtrDescribeProducersRequest()
		req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0, 9}}}
		topic := ask[*kmsg.DescribeProducersResponse](n, req).Topics[0]
		if topic.Partitions[1].ErrorCode != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("a partition that is not there: error %d", topic.Partitions[1].ErrorCode)
		}
		return topic.Partitions[0]
	}
	open := producers().ActiveProducers
	if len(open) != 1 || open[0].ProducerID != 4711 || open[0].ProducerEpoch != 5 || open[0].CurrentTxnStartOffset != 0 || open[0].LastSequence != 0 {
		t.Fatalf("the producers are %+v", open)
	}
	mark := func(epoch int16) int16 {
		req := kmsg.NewPtrWriteTxnMarkersRequest()
		req.Version = 1
		req.Markers = []kmsg.WriteTxnMarkersRequestMarker{{ProducerID: 4711, ProducerEpoch: epoch, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "t", Partitions: []int32{0}}}}}
		return ask[*kmsg.WriteTxnMarkersResponse](n, req).Markers[0].Topics[0].Partitions[0].ErrorCode
	}
	if code := mark(4); code != kerr.InvalidProducerEpoch.Code {
		t.Errorf("a marker of an old epoch is answered with %d", code)
	}
	if code := mark(5); code != 0 {
		t.Errorf("the marker is answered with %d", code)
	}
	if stable, end := n.lastStable(); stable != 3 || end != 3 {
		t.Errorf("the last stable offset is %d of %d", stable, end)
	}
	if open := producers().ActiveProducers; open[0].CurrentTxnStartOffset != -1 {
		t.Errorf("the producers are %+v", open)
	}
}

// TestListTransactions: the filters of operators.
func TestListTransactions(t *testing.T) {
	t.Parallel()
	n := start(t, disk.NewMemory(), "/d")
	n.createWith(1, nil, "t")
	for _, id := range []string{"orders-1", "orders-2", "bills"} {
		b := n.byHand(id)
		b.init(60_000)
		if id != "bills" {
			if err := b.add(3, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		what string
		req  kmsg.ListTransactionsRequest
		code int16
		want string
	}{
		{"all", kmsg.ListTransactionsRequest{DurationFilterMillis: -1}, 0, "bills orders-1 orders-2"},
		{"by state", kmsg.ListTransactionsRequest{StateFilters: []string{"Empty", "Odd"}, DurationFilterMillis: -1}, 0, "bills"},
		{"by time", kmsg.ListTransactionsRequest{StateFilters: []string{"Ongoing"}, DurationFilterMillis: 3_600_000}, 0, ""},
		{"by pattern", kmsg.ListTransactionsRequest{TransactionalIDPattern: kmsg.StringPtr("orders-."), DurationFilterMillis: -1}, 0, "orders-1 orders-2"},
		{"by the whole id", kmsg.ListTransactionsRequest{TransactionalIDPattern: kmsg.StringPtr("order"), DurationFilterMillis: -1}, 0, ""},
		{"by no pattern", kmsg.ListTransactionsRequest{TransactionalIDPattern: kmsg.StringPtr("("), DurationFilterMillis: -1}, kerr.InvalidRegularExpression.Code, ""},
	} {
		c.req.Version = 2
		resp := ask[*kmsg.ListTransactionsResponse](n, &c.req)
		var ids []string
		for _, s := range resp.TransactionStates {
			ids = append(ids, s.TransactionalID)
		}
		slices.Sort(ids)
		if got := strings.Join(ids, " "); got != c.want || resp.ErrorCode != c.code {
			t.Errorf("%s: got %q, error %d; want %q, error %d", c.what, got, resp.ErrorCode, c.want, c.code)
		}
		if c.what == "by state" && !slices.Equal(resp.UnknownStateFilters, []string{"Odd"}) {
			t.Errorf("unknown states are %q", resp.UnknownStateFilters)
		}
	}
}
