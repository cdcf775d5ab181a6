package broker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/test/wire"
)

// limit sets quotas of one entity, "user", "client-id" or "ip" and its name, as an
// operator does.
func (n *node) limit(kind, name string, quotas map[string]float64) {
	n.t.Helper()
	entry := kadm.AlterClientQuotaEntry{Entity: kadm.ClientQuotaEntity{{Type: kind, Name: &name}}}
	for key, value := range quotas {
		entry.Ops = append(entry.Ops, kadm.AlterClientQuotaOp{Key: key, Value: value, Remove: value == 0})
	}
	told, err := kadm.NewClient(n.client()).AlterClientQuotas(deadline(n.t), []kadm.AlterClientQuotaEntry{entry})
	if err == nil {
		err = told[0].Err
	}
	if err != nil {
		n.t.Fatalf("quotas %v of %s %s: %v", quotas, kind, name, err)
	}
}

// timed asks on a connection, and returns how long the answer took.
func timed[R kmsg.Response](t *testing.T, c *wire.Conn, req kmsg.Request) (R, time.Duration) {
	t.Helper()
	began := time.Now()
	resp := askOn[R](t, c, req)
	return resp, time.Since(began)
}

// TestProduceQuota: who sends too much is told at once how long to wait, and not read for
// that long; the client of another user id, and who has no quota any more, is.
func TestProduceQuota(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir(), "quota.window.num=2")
	n.create(nil, "a")
	n.limit("user", "ANONYMOUS", map[string]float64{"producer_byte_rate": 100_000})
	c, other := n.dial(), n.dial()
	big := produceRequest(9, "a", 0, -1, values(t, strings.Repeat("x", 160_000)))
	first, took := timed[*kmsg.ProduceResponse](t, c, big)
	if first.Topics[0].Partitions[0].ErrorCode != 0 || first.ThrottleMillis < 400 || first.ThrottleMillis > 900 {
		t.Fatalf("answered %+v", first)
	}
	if took > 400*time.Millisecond {
		t.Errorf("the answer took %s", took)
	}
	_, took = timed[*kmsg.ApiVersionsResponse](t, c, kmsg.NewPtrApiVersionsRequest())
	if least := time.Duration(first.ThrottleMillis)*time.Millisecond - 100*time.Millisecond; took < least {
		t.Errorf("was read after %s, told to wait %d ms", took, first.ThrottleMillis)
	}
	if _, took = timed[*kmsg.ApiVersionsResponse](t, other, kmsg.NewPtrApiVersionsRequest()); took > 300*time.Millisecond {
		t.Errorf("another connection waited %s", took)
	}
	n.limit("user", "ANONYMOUS", map[string]float64{"producer_byte_rate": 0})
	if free, _ := timed[*kmsg.ProduceResponse](t, other, big); free.ThrottleMillis != 0 {
		t.Errorf("without a quota one waits %d ms", free.ThrottleMillis)
	}
}

// TestProduceQuotaWithoutAnswer: who asks for no answer is not read either.
func TestProduceQuotaWithoutAnswer(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir(), "quota.window.num=2")
	n.create(nil, "a")
	n.limit("user", "ANONYMOUS", map[string]float64{"producer_byte_rate": 100_000})
	c := n.dial()
	if err := c.Send(wire.Frame(produceRequest(9, "a", 0, 0, values(t, strings.Repeat("x", 160_000))), 1)); err != nil {
		t.Fatal(err)
	}
	if _, took := timed[*kmsg.ApiVersionsResponse](t, c, kmsg.NewPtrApiVersionsRequest()); took < 400*time.Millisecond {
		t.Errorf("was read after %s", took)
	}
}

// TestFetchQuota: who reads too much gets nothing but how long to wait, in a session too,
// and everything afterwards.
func TestFetchQuota(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir(), "quota.window.num=2")
	n.create(nil, "a")
	for range 3 {
		n.mustPut("a", strings.Repeat("x", 90_000))
	}
	n.limit("client-id", "reader", map[string]float64{"consumer_byte_rate": 100_000})
	cl := n.client(kgo.ClientID("reader"), kgo.ConsumeTopics("a"))
	began := time.Now()
	take(t, cl, 3)
	if took := time.Since(began); took < 1300*time.Millisecond {
		t.Errorf("270 KB at 100 KB/s took %s", took)
	}
	free := n.client(kgo.ClientID("other"), kgo.ConsumeTopics("a"))
	began = time.Now()
	take(t, free, 3)
	if took := time.Since(began); took > time.Second {
		t.Errorf("without a quota it took %s", took)
	}
}

// TestThrottledSession: a fetch that is answered with nothing leaves its session as it was,
// and makes none.
func TestThrottledSession(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir(), "quota.window.num=2")
	n.create(nil, "a")
	n.mustPut("a", strings.Repeat("x", 40_000))
	c := n.dial()
	req := fetchRequest(11, "a", 0)
	req.SessionEpoch = 0
	made := askOn[*kmsg.FetchResponse](t, c, req)
	if made.SessionID == 0 || made.ThrottleMillis != 0 {
		t.Fatalf("%+v", made)
	}
	n.limit("user", "ANONYMOUS", map[string]float64{"consumer_byte_rate": 50_000})
	if paid := ask[*kmsg.FetchResponse](n, fetchRequest(11, "a", 0)); paid.ThrottleMillis != 0 {
		t.Fatalf("what the quota has room for is throttled: %+v", paid)
	}
	again := fetchRequest(11, "a", 0)
	again.SessionID, again.SessionEpoch = made.SessionID, 1
	throttled := askOn[*kmsg.FetchResponse](t, c, again)
	if throttled.ThrottleMillis < 300 || throttled.SessionID != made.SessionID || len(throttled.Topics) != 0 {
		t.Fatalf("%+v", throttled)
	}
	if fresh := ask[*kmsg.FetchResponse](n, req); fresh.ThrottleMillis == 0 || fresh.SessionID != 0 || len(fresh.Topics) != 0 {
		t.Fatalf("a new session in spite of the quota: %+v", fresh)
	}
	n.limit("user", "ANONYMOUS", map[string]float64{"consumer_byte_rate": 0})
	again.Topics, again.SessionEpoch = nil, 2
	if next := askOn[*kmsg.FetchResponse](t, c, again); next.ErrorCode != 0 || len(next.Topics) != 1 || len(next.Topics[0].Partitions[0].RecordBatches) == 0 {
		t.Fatalf("after the wait: %+v", next)
	}
}

// TestControllerMutationQuota: who makes too many partitions is refused and told how long to
// wait; a client of before KIP-599 gets them, and waits afterwards. What fails is free.
func TestControllerMutationQuota(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir(), "quota.window.num=2")
	n.limit("user", "ANONYMOUS", map[string]float64{"controller_mutation_rate": 2})
	create := func(version int16, partitions int32, topic string) (code int16, throttle int32) {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = version, 10_000
		req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}}
		resp := ask[*kmsg.CreateTopicsResponse](n, req)
		return resp.Topics[0].ErrorCode, resp.ThrottleMillis
	}
	if code, throttle := create(7, 6, "a"); code != 0 || throttle != 0 { // of 4
		t.Fatalf("%d, %d ms", code, throttle)
	}
	if code, throttle := create(7, 1, "b"); code != kerr.ThrottlingQuotaExceeded.Code || throttle < 500 || throttle > 1000 {
		t.Fatalf("%d, %d ms", code, throttle)
	}
	if code, throttle := create(5, 1, "c"); code != 0 || throttle < 500 {
		t.Fatalf("%d, %d ms", code, throttle)
	}
	n.limit("user", "ANONYMOUS", map[string]float64{"controller_mutation_rate": 1000})
	eventually(t, "the debt is paid", func() bool { code, _ := create(7, 900, "a"); return code != kerr.ThrottlingQuotaExceeded.Code })
	for range 10 {
		if code, _ := create(7, 900, "a"); code != kerr.TopicAlreadyExists.Code {
			t.Fatalf("a topic that exists: %d", code)
		}
	}
	_, err := kadm.NewClient(n.client()).DeleteTopics(deadline(t), "a", "c")
	if err != nil {
		t.Fatal(err)
	}
}

// TestRequestQuota: who keeps the broker busy is told to wait, by whichever request.
func TestRequestQuota(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir(), "quota.window.num=2")
	n.create(nil, "a")
	n.limit("user", "ANONYMOUS", map[string]float64{"request_percentage": 0.001})
	c := n.dial()
	meta := kmsg.NewPtrMetadataRequest()
	meta.Version = 9
	var waited int32
	for range 20 {
		if waited = askOn[*kmsg.MetadataResponse](t, c, meta).ThrottleMillis; waited > 0 {
			break
		}
	}
	if waited == 0 || waited > 1000 {
		t.Errorf("waits %d ms", waited)
	}
}

// TestConnectionQuota: an address that connects too often finds its connections closed, but
// not at once.
func TestConnectionQuota(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir(), "quota.window.num=2")
	n.limit("ip", "127.0.0.7", map[string]float64{"connection_creation_rate": 2})
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 7)}
	dialer := net.Dialer{LocalAddr: local}
	served, closed := 0, 0
	for i := range 8 {
		conn, err := dialer.Dial("tcp", n.addr)
		if err != nil {
			t.Skip("this system has no second address of its own:", err)
		}
		defer conn.Close()
		if _, err := conn.Write(wire.Frame(kmsg.NewPtrApiVersionsRequest(), int32(i))); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		switch n, err := conn.Read(make([]byte, 16)); {
		case n > 0:
			served++
		case errors.Is(err, io.EOF) || strings.Contains(fmt.Sprint(err), "reset"):
			closed++
		default:
			t.Fatal(err)
		}
	}
	if served < 2 || closed < 2 {
		t.Errorf("%d served, %d closed", served, closed)
	}
	if conn := n.dial(); askOn[*kmsg.ApiVersionsResponse](t, conn, kmsg.NewPtrApiVersionsRequest()).ErrorCode != 0 {
		t.Error("another address is not served")
	}
}

// TestConnectionLimits: all clients together connect no more often than they may, and an
// address that has a limit of its own has that.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir(), "quota.window.num=2", "max.connection.creation.rate=10", "max.connections.per.ip.overrides=127.0.0.8:1")
	began := time.Now()
	for range 20 {
		askOn[*kmsg.ApiVersionsResponse](t, n.dial(), kmsg.NewPtrApiVersionsRequest())
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("20 connections at 10 a second took %s", took)
	}
	first, err := wire.DialFrom("127.0.0.8", n.addr)
	if err != nil {
		t.Skip("this system has no second address of its own:", err)
	}
	defer first.Close()
	askOn[*kmsg.ApiVersionsResponse](t, first, kmsg.NewPtrApiVersionsRequest())
	second, err := wire.DialFrom("127.0.0.8", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := second.RoundTrip(kmsg.NewPtrApiVersionsRequest()); err == nil {
		t.Error("a second connection is served")
	}
}

// TestQuotasStay: they are there after a restart.
func TestQuotasStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := start(t, disk.OS, dir)
	n.limit("user", "alice", map[string]float64{"producer_byte_rate": 1 << 20})
	n.stopClean()
	n = start(t, disk.OS, dir)
	told, err := kadm.NewClient(n.client()).DescribeClientQuotas(deadline(t), true, []kadm.DescribeClientQuotaComponent{{Type: "user", MatchType: kmsg.QuotasMatchTypeAny}})
	if err != nil || len(told) != 1 || len(told[0].Values) != 1 || told[0].Values[0].Value != 1<<20 {
		t.Errorf("%+v, %v", told, err)
	}
}

// TestMutedStop: a broker stops though a client of it is to wait for long.
func TestMutedStop(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	n.create(nil, "a")
	n.limit("user", "ANONYMOUS", map[string]float64{"producer_byte_rate": 1})
	c := n.dial()
	if told := askOn[*kmsg.ProduceResponse](t, c, produceRequest(9, "a", 0, -1, values(t, "x"))); told.ThrottleMillis < 50_000 {
		t.Fatalf("waits %d ms", told.ThrottleMillis)
	}
	began := time.Now()
	n.stopClean()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %s", took)
	}
}
