package broker

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// flip turns over a bit of a file, as a disk does that nobody told to.
func flip(t *testing.T, fs disk.FS, name string, at int64) {
	t.Helper()
	file, err := fs.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b := make([]byte, 1)
	if _, err := file.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := file.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// shorten cuts off the second half of a file.
func shorten(t *testing.T, fs disk.FS, name string) {
	t.Helper()
	file, err := fs.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	size, err := file.Size()
	if err == nil {
		err = file.Truncate(size / 2)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestRotWhileServing: whichever replica's records rot, they are found damaged, and the
// replica copies them anew. Nothing that was acknowledged is missing at any time, nor
// does anybody read what is not so.
func TestRotWhileServing(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, fs disk.FS, folder string){
		"a bit of the first segment": func(t *testing.T, fs disk.FS, folder string) { flip(t, fs, folder+"/00000000000000000000.log", 100) },
		"a length in it":             func(t *testing.T, fs disk.FS, folder string) { flip(t, fs, folder+"/00000000000000000000.log", 8) },
		"half of it":                 func(t *testing.T, fs disk.FS, folder string) { shorten(t, fs, folder+"/00000000000000000000.log") },
		"half of the active one":     func(t *testing.T, fs disk.FS, folder string) { shorten(t, fs, lastOf(t, fs, folder, ".log")) },
	} {
		for _, who := range []string{"leader", "follower"} {
			t.Run(name+" of the "+who, func(t *testing.T) {
				t.Parallel()
				c := startRotting(t)
				is := c.partition()
				victim := is.Leader
				if who == "follower" {
					victim = is.Leader%3 + 1
				}
				damage(t, c.disks[victim-1], "/data/rot-0")
				c.await("the replica counts no more", func(*metadata.Image) bool { return !slices.Contains(c.partition().ISR, victim) })
				c.produce(20)
				c.await("all are in sync", inSync("rot", 3))
				c.produce(20)
				c.wantAll()
			})
		}
	}
}

// rotting is a cluster with one partition that is written to.
type rotting struct {
	*nodes
	client *kgo.Client
	sent   []string
}

func startRotting(t *testing.T) *rotting {
	t.Helper()
	c := &rotting{nodes: startNodes(t, 3, "klamm.scrub.interval.ms=1000")}
	c.await("three brokers take part", unfenced(3))
	c.client = c.nodes.client()
	configs := map[string]*string{"segment.bytes": kadm.StringPtr("1048576"), "min.insync.replicas": kadm.StringPtr("2")}
	if _, err := kadm.NewClient(c.client).CreateTopic(t.Context(), 1, 3, configs, "rot"); err != nil {
		t.Fatal(err)
	}
	c.produce(120)
	c.await("all are in sync", inSync("rot", 3))
	return c
}

func (c *rotting) partition() *metadata.Partition {
	c.t.Helper()
	topic, found := c.any().view.Image().Topic("rot")
	if !found {
		c.t.Fatal("there is no topic")
	}
	return &topic.Partitions[0]
}

func (c *rotting) produce(count int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for range count {
		value := fmt.Sprintf("%d %s", len(c.sent), strings.Repeat("x", 20_000))
		if err := c.client.ProduceSync(ctx, &kgo.Record{Topic: "rot", Value: []byte(value)}).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
		c.sent = append(c.sent, value)
	}
}

// wantAll reads everything once from each replica as the leader.
func (c *rotting) wantAll() {
	c.t.Helper()
	c.wantSame("rot", len(c.sent))
	first := c.bytesOf(0)
	for i := range c.up {
		if !bytes.Equal(c.bytesOf(i), first) {
			c.t.Errorf("the replica at node %d differs from that at node 1", i+1)
		}
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	reader := c.nodes.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"rot": {0: kgo.NewOffset().AtStart()}}))
	var got []string
	for len(got) < len(c.sent) {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			c.t.Fatalf("%d of %d records were read: %v", len(got), len(c.sent), err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if !slices.Equal(got, c.sent) {
		c.t.Error("what is read is not what was acknowledged")
	}
}

// bytesOf is the whole log of a node's replica, which must be sound.
func (c *rotting) bytesOf(i int) (all []byte) {
	c.t.Helper()
	p, err := c.up[i].partitions.Get("rot", 0)
	if err != nil {
		c.t.Fatal(err)
	}
	for at := p.Log().Start(); at < p.Log().End(); {
		slice, err := p.Log().Read(at, 1<<20, p.Log().End(), true)
		if err != nil {
			c.t.Fatalf("at node %d: %v", i+1, err)
		}
		raw := make([]byte, slice.Len)
		_, err = slice.File.ReadAt(raw, slice.Off)
		slice.Close()
		for rest := raw; err == nil && len(rest) > 0; {
			var batch record.Batch
			if batch, rest, err = record.Next(rest); err == nil {
				err, at = batch.Verify(), batch.NextOffset()
			}
		}
		if err != nil {
			c.t.Fatalf("at node %d: %v", i+1, err)
		}
		all = append(all, raw...)
	}
	return all
}

// lastOf returns the last file of a folder whose name ends so.
func lastOf(t *testing.T, fs disk.FS, folder, suffix string) (name string) {
	t.Helper()
	entries, err := fs.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			name = folder + "/" + e.Name()
		}
	}
	if name == "" {
		t.Fatalf("there is no %s in %s", suffix, folder)
	}
	return name
}
