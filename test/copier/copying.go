package copier

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/test/history"
)

// Partitions are those of both topics.
const Partitions = 4

// Copying is a copier and what it was fed.
type Copying struct {
	Kills   int // of the copier
	Written int // records in the copy, those of aborted transactions too; known after Check

	t      testing.TB
	seeds  []string
	feeder *kgo.Client
	admin  *kadm.Client
	copier *exec.Cmd
	output string               // file of the copier's complaints
	fed    [Partitions][]string // values by partition and offset
}

// New makes the two topics, with so many replicas, and starts a copier.
func New(t testing.TB, seeds []string, replicas int16) *Copying {
	t.Helper()
	cl := history.NewClient(t, history.Patience(seeds, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(From)))
	c := &Copying{t: t, seeds: seeds, feeder: cl, admin: kadm.NewClient(cl), output: filepath.Join(t.TempDir(), "copier.log")}
	for _, topic := range []string{From, To} {
		if _, err := c.admin.CreateTopic(t.Context(), Partitions, replicas, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	c.launch()
	return c
}

// launch starts a copier.
func (c *Copying) launch() {
	c.t.Helper()
	out, err := os.OpenFile(c.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		c.t.Fatal(err)
	}
	defer out.Close()
	c.copier = exec.Command(os.Args[0])
	c.copier.Env = append(os.Environ(), environment+"="+strings.Join(c.seeds, ","))
	c.copier.Stdout, c.copier.Stderr = out, out
	if err := c.copier.Start(); err != nil {
		c.t.Fatal(err)
	}
	process := c.copier
	c.t.Cleanup(func() {
		_ = process.Process.Kill() // it may have ended long ago
		if said, err := os.ReadFile(c.output); err == nil && c.t.Failed() && len(said) > 0 {
			c.t.Logf("the copier says:\n%s", said)
		}
	})
}

// Kill kills the copier and starts another.
func (c *Copying) Kill() {
	c.t.Helper()
	c.endCopier()
	c.Kills++
	c.launch()
}

// endCopier kills the copier; one that had ended by itself is a failure.
func (c *Copying) endCopier() {
	c.t.Helper()
	if err := c.copier.Process.Kill(); err != nil {
		c.t.Fatalf("kill the copier: %v", err)
	}
	if err := c.copier.Wait(); c.copier.ProcessState.Exited() {
		c.t.Fatalf("the copier had ended by itself: %v", err)
	}
}

// Feed produces flights, in turn to each partition.
func (c *Copying) Feed(flights []string) {
	c.t.Helper()
	var records []*kgo.Record
	for i, line := range flights {
		p := i % Partitions
		records = append(records, &kgo.Record{Partition: int32(p), Value: []byte(line)})
		c.fed[p] = append(c.fed[p], line)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	if err := c.feeder.ProduceSync(ctx, records...).FirstErr(); err != nil {
		c.t.Fatalf("feed: %v", err)
	}
}

// AwaitCopied waits until the copier has committed all that was fed, and ends it.
func (c *Copying) AwaitCopied() {
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

func (c *Copying) copied() bool {
	committed, err := c.admin.FetchOffsets(c.t.Context(), Name)
	if err != nil {
		return false
	}
	for p := range c.fed {
		if at, found := committed.Lookup(From, int32(p)); !found || at.Err != nil || at.At < int64(len(c.fed[p])) {
			return false
		}
	}
	return true
}

// Check reads the copy as readers of committed records do.
func (c *Copying) Check() {
	c.t.Helper()
	seen := map[string]int{}
	left := c.ends()
	cl := history.NewClient(c.t, history.Patience(c.seeds, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeTopics(To), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())))
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
	if fed := c.fedRecords(); len(seen) != fed {
		c.t.Errorf("%d flights of %d were copied", len(seen), fed)
	}
}

// ends are the ends of the copy's partitions; in each the last is a marker, for
// every transaction has ended.
func (c *Copying) ends() map[int32]int64 {
	c.t.Helper()
	all, err := c.admin.ListEndOffsets(c.t.Context(), To)
	if err != nil {
		c.t.Fatal(err)
	}
	ends := map[int32]int64{}
	all.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			ends[o.Partition] = o.Offset
		}
		c.Written += int(o.Offset)
	})
	return ends
}

func (c *Copying) compare(r *kgo.Record, seen map[string]int) {
	var p, offset int
	if _, err := fmt.Sscanf(string(r.Key), "%d %d", &p, &offset); err != nil || p >= Partitions || offset >= len(c.fed[p]) {
		c.t.Fatalf("a record that nobody copied: %q", r.Key)
	}
	if c.fed[p][offset] != string(r.Value) {
		c.t.Errorf("the flight at %s was copied as %q", r.Key, r.Value)
	}
	seen[string(r.Key)]++
}

func (c *Copying) fedRecords() (n int) {
	for _, values := range c.fed {
		n += len(values)
	}
	return n
}
