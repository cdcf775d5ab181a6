//go:build chaos

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/copier"
	"github.com/klamm-io/klamm/test/history"
)

const (
	apacheKills   = 10
	apachePerKill = 4000 // records
	apacheGroup   = "apache-copiers"
)

// TestApacheCopierExactlyOnce copies a partition by Apache's own copier, which
// aborts transactions by chance besides, while now it and now the broker is killed:
// readers of committed records find each record once, in its order.
func TestApacheCopierExactlyOnce(t *testing.T) {
	if err := brokers.HasJava(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("left out: ", err)
	}
	seed := number(t, "CHAOS_SEED", int(time.Now().UnixNano()%1_000_000))
	rounds := number(t, "CHAOS_ROUNDS", apacheKills)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("run it again with CHAOS_SEED=%d CHAOS_ROUNDS=%d", seed, rounds)
		}
	})
	c := newApacheCopying(t, uint64(seed))
	for round := range rounds {
		c.feed(apachePerKill)
		c.runFor(time.Second + time.Duration(c.rng.Int64N(int64(2*time.Second))))
		if round%2 == 0 {
			c.kill()
			continue
		}
		if err := c.broker.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := c.broker.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(3 * time.Minute); c.committed() < int64(c.fed); {
		if time.Now().After(deadline) {
			t.Fatalf("the copier came to offset %d of %d and no further", c.committed(), c.fed)
		}
		c.runFor(time.Second)
	}
	c.kill()
	c.check()
	wantNoErrors(t, c.broker)
	t.Logf("seed %d: %d records copied through %d kills and %d starts of the copier", seed, c.fed, rounds, c.starts)
}

// apacheCopying is a broker and Apache's copier, which ends when it has copied what
// was there when it began, or when it gives the broker up.
type apacheCopying struct {
	t      *testing.T
	rng    *rand.Rand
	broker *brokers.Broker
	client *kgo.Client
	admin  *kadm.Client
	copier *exec.Cmd     // nil while none runs
	ended  chan struct{} // closed when it has
	starts int
	fed    int // records
}

func newApacheCopying(t *testing.T, seed uint64) *apacheCopying {
	b := startKlamm(t, map[string]string{
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
		"offsets.topic.num.partitions":                                "4",
		"transaction.state.log.num.partitions":                        "4",
	})
	cl := history.NewClient(t, history.Patience(b.Seeds(), kgo.DefaultProduceTopic(copier.From)))
	c := &apacheCopying{t: t, rng: rand.New(rand.NewPCG(seed, 3)), broker: b, client: cl, admin: kadm.NewClient(cl)}
	for _, topic := range []string{copier.From, copier.To} {
		if _, err := c.admin.CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(c.kill)
	return c
}

// feed writes more to be copied: records that tell their place.
func (c *apacheCopying) feed(n int) {
	c.t.Helper()
	var records []*kgo.Record
	for i := range n {
		records = append(records, kgo.StringRecord(fmt.Sprint(c.fed+i)))
	}
	if err := c.client.ProduceSync(c.t.Context(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
	c.fed += n
}

// runFor lets a copier be at work for a while.
func (c *apacheCopying) runFor(d time.Duration) {
	c.t.Helper()
	for until := time.After(d); ; {
		if c.copier == nil {
			c.launch()
		}
		select {
		case <-until:
			return
		case <-c.ended:
			c.copier = nil
		}
	}
}

func (c *apacheCopying) launch() {
	c.t.Helper()
	cmd, err := brokers.Tool("org.apache.kafka.tools.TransactionalMessageCopier",
		"--broker-list", c.broker.Addr, "--transactional-id", "apache-copier", "--consumer-group", apacheGroup, "--input-topic", copier.From,
		"--input-partition", "0", "--output-topic", copier.To, "--transaction-size", "50", "--transaction-timeout", "10000",
		"--enable-random-aborts", "--use-group-metadata")
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.starts++
	c.copier, c.ended = cmd, make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended matters less than what it left
		close(c.ended)
	}()
}

// kill ends the copier, if one runs.
func (c *apacheCopying) kill() {
	if c.copier == nil {
		return
	}
	_ = c.copier.Process.Kill() // it may just have ended
	<-c.ended
	c.copier = nil
}

// committed is how far the copier has come; 0 while nobody can tell.
func (c *apacheCopying) committed() int64 {
	offsets, err := c.admin.FetchOffsets(c.t.Context(), apacheGroup)
	if err != nil {
		return 0
	}
	at, found := offsets.Lookup(copier.From, 0)
	if !found || at.Err != nil {
		return 0
	}
	return at.At
}

// check reads the copy as readers of committed records do.
func (c *apacheCopying) check() {
	c.t.Helper()
	cl := history.NewClient(c.t, history.Patience(c.broker.Seeds(), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeTopics(copier.To),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())))
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	next := 0
	for next < c.fed {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			c.t.Fatalf("%v with %d records of %d read", err, next, c.fed)
		}
		for it := fetches.RecordIter(); !it.Done(); next++ {
			if r := it.Next(); string(r.Value) != fmt.Sprint(next) {
				c.t.Fatalf("offset %d of the copy holds %q, want %d", r.Offset, r.Value, next)
			}
		}
	}
	quiet, stop := context.WithTimeout(c.t.Context(), time.Second)
	defer stop()
	if more := cl.PollFetches(quiet).NumRecords(); more > 0 {
		c.t.Errorf("%d records more than were there were copied", more)
	}
}
