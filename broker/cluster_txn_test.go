package broker

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// TestTransactionsInACluster: partitions, their transaction's coordinator and the
// group whose offsets are committed are on different nodes, and nodes come and go:
// readers of committed records get each committed record once, in order, and no other.
func TestTransactionsInACluster(t *testing.T) {
	c := startNodes(t, 3)
	c.await("three brokers take part", unfenced(3))
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	if _, err := kadm.NewClient(c.client()).CreateTopic(ctx, 6, 3, nil, "flights"); err != nil {
		t.Fatal(err)
	}
	var producers []*txnProducer // their coordinators are on different nodes
	for _, opts := range txnClients {
		for range 2 {
			id := kgo.TransactionalID(fmt.Sprint("x", len(producers)))
			producers = append(producers, &txnProducer{t: t, begin: func() *kgo.Client { return c.client(append(opts, id, kgo.DefaultProduceTopic("flights"))...) }})
		}
	}
	var want []string
	round := func(of string) {
		t.Helper()
		for i, p := range producers {
			for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
				value := fmt.Sprintf("%s, producer %d, committed: %v", of, i, end)
				p.write(ctx, value, end)
				if end {
					want = append(want, value)
				}
			}
		}
	}
	round("all up")
	for i := range c.up {
		c.stop(i)
		round(fmt.Sprintf("node %d down", i+1))
		c.start(i)
		c.await("all are in sync", inSync("flights", 3))
		c.await("all coordinators are in sync", inSync(metadata.TransactionState, 3))
	}
	for p := range int32(6) {
		c.committedAre(ctx, p, want)
	}
}

// txnProducer is a client with a transactional id, and how another begins with it.
type txnProducer struct {
	t      *testing.T
	begin  func() *kgo.Client
	client *kgo.Client
}

// write writes a value into all partitions of flights, in one transaction. A client
// that looks for its coordinator on a node that has just gone may give up for good;
// then another takes its place, which aborts what the one before had begun.
func (p *txnProducer) write(ctx context.Context, value string, end kgo.TransactionEndTry) {
	p.t.Helper()
	for written := false; !written; {
		if p.client == nil {
			p.client = p.begin()
		}
		if err := p.client.BeginTransaction(); err != nil {
			p.t.Fatal(err)
		}
		var all []*kgo.Record
		for i := range int32(6) {
			all = append(all, &kgo.Record{Partition: i, Value: []byte(value)})
		}
		if err := p.client.ProduceSync(ctx, all...).FirstErr(); err != nil {
			p.t.Logf("%s: once more after %v", value, err)
			p.client = nil
			continue
		}
		if err := p.client.EndTransaction(ctx, end); err != nil {
			p.t.Fatalf("end of %s: %v", value, err)
		}
		written = true
	}
}

// committedAre checks what readers of committed records get of a partition of flights.
func (c *nodes) committedAre(ctx context.Context, partition int32, want []string) {
	c.t.Helper()
	cl := c.client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"flights": {partition: kgo.NewOffset().AtStart()}}))
	var got []string
	for len(got) < len(want) && ctx.Err() == nil {
		for _, r := range cl.PollFetches(ctx).Records() {
			got = append(got, string(r.Value))
		}
	}
	if !slices.Equal(got, want) {
		c.t.Errorf("readers of committed records of partition %d get\n%q, want\n%q", partition, got, want)
	}
}
