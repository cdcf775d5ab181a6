//go:build chaos

package chaos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/load"
	"github.com/klamm-io/klamm/test/wire"
)

// What a broker may take, with room for what the garbage collector is late with.
const (
	mostAtStart      = 64 << 20
	mostUnderLoad    = 512 << 20
	mostOfConnection = 64 << 10
)

// settleLimit bounds how long what a client gave up may stay.
const settleLimit = 30 * time.Second

// usage is what the broker takes now.
func usage(t *testing.T, b *brokers.Broker) brokers.Usage {
	t.Helper()
	u, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// raiseFileLimit lets this process have so many files; the broker raises its own.
func raiseFileLimit(t *testing.T, files uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= files {
		return
	}
	limit.Cur, limit.Max = files, max(limit.Max, files)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Skipf("left out: this user may not have %d files: %v", files, err)
	}
}

// dialMany opens connections, which end with the test.
func dialMany(t *testing.T, addr string, n int) []*wire.Conn {
	t.Helper()
	var conns []*wire.Conn
	for range n {
		c, err := wire.Dial(addr)
		if err != nil {
			t.Fatalf("connection %d of %d: %v", len(conns)+1, n, err)
		}
		t.Cleanup(func() { c.Close() })
		conns = append(conns, c)
	}
	return conns
}

// served checks that the broker answers on each connection.
func served(t *testing.T, conns []*wire.Conn) {
	t.Helper()
	for i, c := range conns {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version = 3
		if _, err := c.RoundTrip(req); err != nil {
			t.Fatalf("connection %d of %d: %v", i+1, len(conns), err)
		}
	}
}

// produceOn keeps one connection producing until the returned function is called,
// which says how often that worked and the longest time that one took.
func produceOn(t *testing.T, addr, topic string) (stop func() (n int, slowest time.Duration)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	conn := dialMany(t, addr, 1)[0]
	if err := load.CreateTopic(conn, topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var n int
	var slowest time.Duration
	running.Go(func() {
		req := load.Produce(topic, []int32{0}, load.Batch(10, 100))
		for ; ctx.Err() == nil; n++ {
			began := time.Now()
			resp, err := conn.RoundTrip(req)
			if err == nil {
				err = load.Produced(resp.(*kmsg.ProduceResponse))
			}
			if err != nil {
				t.Error(err)
				return
			}
			slowest = max(slowest, time.Since(began))
		}
	})
	return func() (int, time.Duration) {
		cancel()
		running.Wait()
		return n, slowest
	}
}

// awaitFiles waits until the broker has let go of what it had more of than before.
func awaitFiles(t *testing.T, b *brokers.Broker, before int) {
	t.Helper()
	const others = 16 // of segments and indexes that came into use meanwhile
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(settleLimit); ; <-tick.C {
		now := usage(t, b).Files
		if now <= before+others {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the broker has %d files open, it had %d before its clients came and went", now, before)
		}
	}
}

// TestManyIdleConnections has 5,000 connections that do next to nothing while
// one produces.
func TestManyIdleConnections(t *testing.T) {
	const many = 5000
	raiseFileLimit(t, many+1000)
	b := startKlamm(t, nil)
	start := usage(t, b)
	if start.Resident > mostAtStart {
		t.Errorf("the broker takes %d MiB at its start", start.Resident>>20)
	}
	stop := produceOn(t, b.Addr, "alive")
	before := usage(t, b)
	conns := dialMany(t, b.Addr, many)
	served(t, conns)
	served(t, conns)
	during := usage(t, b)
	for _, c := range conns {
		c.Close()
	}
	awaitFiles(t, b, before.Files)
	n, slowest := stop()
	each := (during.Resident - before.Resident) / many
	t.Logf("at the start %d MiB resident, %d MiB anonymous; a connection takes %d B; meanwhile %d produces, the slowest in %s",
		start.Resident>>20, start.Anonymous>>20, each, n, slowest.Round(time.Millisecond))
	if each > mostOfConnection {
		t.Errorf("a connection takes %d bytes, %d before, %d with %d connections", each, before.Resident, during.Resident, many)
	}
	if n == 0 {
		t.Error("nothing was produced meanwhile")
	}
}

// TestReadersThatDoNotRead has connections that ask for much and take nothing.
func TestReadersThatDoNotRead(t *testing.T) {
	b := startKlamm(t, nil)
	stop := produceOn(t, b.Addr, "alive")
	fill(t, b.Addr, "large", 64)
	before := usage(t, b)
	conns := dialMany(t, b.Addr, 200)
	for _, c := range conns {
		var frames []byte
		for n := range int32(20) {
			frames = append(frames, wire.Frame(load.Fetch("large", 0, 0, 32<<20), n)...)
		}
		if err := c.Send(frames); err != nil {
			t.Fatal(err)
		}
	}
	others := dialMany(t, b.Addr, 100)
	served(t, others)
	during := usage(t, b)
	for _, c := range append(conns, others...) {
		c.Close()
	}
	awaitFiles(t, b, before.Files)
	n, slowest := stop()
	t.Logf("200 connections asked for 125 GiB and read nothing: memory %d MiB -> %d MiB; meanwhile %d produces, the slowest in %s",
		before.Anonymous>>20, during.Anonymous>>20, n, slowest.Round(time.Millisecond))
	if during.Anonymous > mostUnderLoad {
		t.Errorf("the broker takes %d MiB for readers that do not read", during.Anonymous>>20)
	}
}

// fill writes so many MiB to partition 0 of a new topic.
func fill(t *testing.T, addr, topic string, mebibytes int) {
	t.Helper()
	c := dialMany(t, addr, 1)[0]
	if err := load.CreateTopic(c, topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	req := load.Produce(topic, []int32{0}, load.Batch(1000, 1000))
	for range mebibytes {
		resp, err := c.RoundTrip(req)
		if err == nil {
			err = load.Produced(resp.(*kmsg.ProduceResponse))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestManyConsumers has 1,000 consumers wait at the end of a partition, and one
// record wake them all.
func TestManyConsumers(t *testing.T) {
	const many = 1000
	raiseFileLimit(t, many+1000)
	b := startKlamm(t, nil)
	fill(t, b.Addr, "news", 1)
	conns := dialMany(t, b.Addr, many)
	for i, c := range conns {
		req := load.Fetch("news", 0, 1000, 1<<20)
		req.MaxWaitMillis = int32(settleLimit.Milliseconds())
		if err := c.Send(wire.Frame(req, int32(i))); err != nil {
			t.Fatal(err)
		}
	}
	waiting := usage(t, b)
	began := time.Now()
	produced, err := dialMany(t, b.Addr, 1)[0].RoundTrip(load.Produce("news", []int32{0}, load.Batch(1, 100)))
	if err == nil {
		err = load.Produced(produced.(*kmsg.ProduceResponse))
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range conns {
		if err := wantNews(c); err != nil {
			t.Fatalf("consumer %d of %d: %v", i+1, many, err)
		}
	}
	t.Logf("%d consumers had a record %s after it was sent; they take %d MiB", many, time.Since(began).Round(time.Millisecond), waiting.Anonymous>>20)
}

func wantNews(c *wire.Conn) error {
	frame, err := c.Receive()
	if err != nil {
		return err
	}
	resp, err := wire.Decode(load.Fetch("news", 0, 0, 0), frame)
	if err != nil {
		return err
	}
	p := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 || len(p.RecordBatches) == 0 || p.HighWatermark != 1001 {
		return fmt.Errorf("error code %d, %d bytes, high watermark %d", p.ErrorCode, len(p.RecordBatches), p.HighWatermark)
	}
	return nil
}

// TestByteASecond has clients that announce large requests and then send a byte
// a second.
func TestByteASecond(t *testing.T) {
	b := startKlamm(t, nil)
	stop := produceOn(t, b.Addr, "alive")
	before := usage(t, b)
	conns := dialMany(t, b.Addr, 500)
	announced := binary.BigEndian.AppendUint32(nil, 50<<20)
	for _, c := range conns {
		if err := c.Send(announced); err != nil {
			t.Fatal(err)
		}
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for range 5 {
		<-tick.C
		for _, c := range conns {
			if err := c.Send([]byte{0}); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
				t.Fatal(err)
			}
		}
	}
	served(t, dialMany(t, b.Addr, 100))
	during := usage(t, b)
	n, slowest := stop()
	t.Logf("500 connections announced 24 GiB and sent 6 bytes each: memory %d MiB -> %d MiB; meanwhile %d produces, the slowest in %s",
		before.Anonymous>>20, during.Anonymous>>20, n, slowest.Round(time.Millisecond))
	if during.Anonymous > mostUnderLoad {
		t.Errorf("the broker takes %d MiB for requests that do not come", during.Anonymous>>20)
	}
	if n == 0 {
		t.Error("nothing was produced meanwhile")
	}
}
