//go:build chaos

package chaos

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/test/brokers"
)

// copyKills is how often a copier or its broker is killed, unless CHAOS_ROUNDS says
// otherwise.
const copyKills = 30

// copyPartitions are those of both topics.
const copyPartitions = 4

// TestExactlyOnce copies all flights from one topic into another in transactions,
// while now the copier and now the broker is killed. Readers of committed records
// find each flight exactly once.
func TestExactlyOnce(t *testing.T) {
	seed := number(t, "CHAOS_SEED", int(time.Now().UnixNano()%1_000_000))
	rounds := number(t, "CHAOS_ROUNDS", copyKills)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("run it again with CHAOS_SEED=%d CHAOS_ROUNDS=%d", seed, rounds)
		}
	})
	c := newCopying(t, uint64(seed))
	c.launch()
	flights := readFlights(t)
	for round := range rounds {
		c.feed(flights[round*len(flights)/rounds : (round+1)*len(flights)/rounds])
		time.Sleep(time.Duration(c.rng.Int64N(int64(500 * time.Millisecond))))
		if round%2 == 0 {
			c.killCopier()
		} else {
			c.killBroker()
		}
	}
	c.awaitCopied()
	c.check(flights)
	wantNoErrors(t, c.broker)
	t.Logf("seed %d: %d flights, %d kills of the copier, %d of the broker; %d records were written for them in all",
		seed, len(flights), c.copierKills, c.brokerKills, c.written)
}

// copying is a broker, a copier, and what they did.
type copying struct {
	t      *testing.T
	rng    *rand.Rand
	broker *brokers.Broker
	feeder *kgo.Client
	admin  *kadm.Client
	copier *exec.Cmd
	output string // file of the copier's complaints

	fed                      [copyPartitions][]string // values by partition and offset
	copierKills, brokerKills int
	written                  int // records in the copy, those of aborted transactions too
}

func newCopying(t *testing.T, seed uint64) *copying {
	b := startKlamm(t, map[string]string{
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
		"log.flush.offset.checkpoint.interval.ms":                     "500",
		"log.segment.bytes":                    "4194304",
		"offsets.topic.num.partitions":         "4",
		"transaction.state.log.num.partitions": "4",
	})
	cl := newClient(t, patience(b.Addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(copyFrom)))
	c := &copying{
		t: t, rng: rand.New(rand.NewPCG(seed, 2)), broker: b, feeder: cl, admin: kadm.NewClient(cl),
		output: filepath.Join(t.TempDir(), "copier.log"),
	}
	for _, topic := range []string{copyFrom, copyTo} {
		if _, err := c.admin.CreateTopic(t.Context(), copyPartitions, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// readFlights are the lines of the data set.
func readFlights(t *testing.T) (lines []string) {
	t.Helper()
	tree, err := brokers.Tree()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(tree, "test/data/flights/flights.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(plain)
	scanner.Scan() // the header
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	if err := scanner.Err(); err != nil || len(lines) != 336_776 {
		t.Fatalf("%d flights were read: %v", len(lines), err)
	}
	return lines
}

// launch starts a copier.
func (c *copying) launch() {
	c.t.Helper()
	out, err := os.OpenFile(c.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		c.t.Fatal(err)
	}
	defer out.Close()
	c.copier = exec.Command(os.Args[0])
	c.copier.Env = append(os.Environ(), copierEnv+"="+c.broker.Addr)
	c.copier.Stdout, c.copier.Stderr = out, out
	if err := c.copier.Start(); err != nil {
		c.t.Fatal(err)
	}
	process := c.copier
	c.t.Cleanup(func() {
		process.Process.Kill() // it may have ended long ago
		if said, err := os.ReadFile(c.output); err == nil && c.t.Failed() && len(said) > 0 {
			c.t.Logf("the copier says:\n%s", said)
		}
	})
}

func (c *copying) killCopier() {
	c.t.Helper()
	c.endCopier()
	c.copierKills++
	c.launch()
}

// endCopier kills the copier; one that had ended by itself is a failure.
func (c *copying) endCopier() {
	c.t.Helper()
	if err := c.copier.Process.Kill(); err != nil {
		c.t.Fatalf("kill the copier: %v", err)
	}
	if err := c.copier.Wait(); c.copier.ProcessState.Exited() {
		c.t.Fatalf("the copier had ended by itself: %v", err)
	}
}

func (c *copying) killBroker() {
	c.t.Helper()
	if err := c.broker.Kill(); err != nil {
		c.t.Fatal(err)
	}
	c.brokerKills++
	if err := c.broker.Start(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// feed produces flights, in turn to each partition.
func (c *copying) feed(flights []string) {
	c.t.Helper()
	var records []*kgo.Record
	for i, line := range flights {
		p := i % copyPartitions
		records = append(records, &kgo.Record{Partition: int32(p), Value: []byte(line)})
		c.fed[p] = append(c.fed[p], line)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	if err := c.feeder.ProduceSync(ctx, records...).FirstErr(); err != nil {
		c.t.Fatalf("feed: %v", err)
	}
}

// awaitCopied waits until the copier has committed all that was fed, and ends it.
func (c *copying) awaitCopied() {
	c.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); !c.copied(); <-tick.C {
		if time.Now().After(deadline) {
			c.t.Fatal("the copier does not come to the end")
		}
	}
	c.endCopier()
}

func (c *copying) copied() bool {
	committed, err := c.admin.FetchOffsets(c.t.Context(), copierName)
	if err != nil {
		return false
	}
	for p := range c.fed {
		if at, found := committed.Lookup(copyFrom, int32(p)); !found || at.Err != nil || at.At < int64(len(c.fed[p])) {
			return false
		}
	}
	return true
}

// check reads the copy as readers of committed records do.
func (c *copying) check(flights []string) {
	c.t.Helper()
	seen := map[string]int{}
	left := c.ends()
	cl := newClient(c.t, patience(c.broker.Addr, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeTopics(copyTo), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())))
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			c.t.Fatalf("%v with partitions %v not read to their ends", err, left)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if !r.Attrs.IsControl() {
				c.compare(r, seen)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		}
	}
	for key, n := range seen {
		if n != 1 {
			c.t.Errorf("the flight at %s was copied %d times", key, n)
		}
	}
	if len(seen) != len(flights) {
		c.t.Errorf("%d flights of %d were copied", len(seen), len(flights))
	}
}

// ends are the ends of the copy's partitions; in each the last is a marker, for
// every transaction has ended.
func (c *copying) ends() map[int32]int64 {
	c.t.Helper()
	all, err := c.admin.ListEndOffsets(c.t.Context(), copyTo)
	if err != nil {
		c.t.Fatal(err)
	}
	ends := map[int32]int64{}
	all.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			ends[o.Partition] = o.Offset
		}
		c.written += int(o.Offset)
	})
	return ends
}

func (c *copying) compare(r *kgo.Record, seen map[string]int) {
	var p, offset int
	if _, err := fmt.Sscanf(string(r.Key), "%d %d", &p, &offset); err != nil || p >= copyPartitions || offset >= len(c.fed[p]) {
		c.t.Fatalf("a record that nobody copied: %q", r.Key)
	}
	if c.fed[p][offset] != string(r.Value) {
		c.t.Errorf("the flight at %s was copied as %q", r.Key, r.Value)
	}
	seen[string(r.Key)]++
}
