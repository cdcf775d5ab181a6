//go:build compat

package compat

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/test/toolbox"
)

// TestTransactions has each client copy records in transactions, each of which it
// aborts once before it commits it. Every client that reads committed records gets
// each exactly once and in order.
func TestTransactions(t *testing.T) {
	const count = 240
	from := "txn-source"
	createTopic(t, from, partitions)
	var sent [partitions][]message
	var messages []message
	for i := range count {
		m := message{Partition: int32(i % partitions), Timestamp: 1_700_000_000_000 + int64(i), Key: fmt.Appendf(nil, "key %d", i), Value: fmt.Appendf(nil, "value %d", i)}
		messages = append(messages, m)
		sent[m.Partition] = append(sent[m.Partition], m)
	}
	writers := slices.DeleteFunc(present(t), func(c client) bool { return c.noTransactions })
	if len(writers) == 0 {
		t.Skip("no client with transactions is here")
	}
	produce(t, writers[0], from, "none", messages)
	for _, c := range writers {
		t.Run(c.name, func(t *testing.T) {
			to := "txn-copy-" + c.name
			createTopic(t, to, partitions)
			p := start(t, c, "copy", from, "id=copier-"+c.name, "group=copier-"+c.name, "to="+to, fmt.Sprint("count=", count))
			p.input.Close()
			p.finish(t)
			for _, reader := range writers {
				wantCopy(t, reader, to, sent[:])
			}
			wantAborted(t, c, to, count)
		})
	}
}

// wantCopy has a client read a copy.
func wantCopy(t *testing.T, reader client, topic string, sent [][]message) {
	t.Helper()
	count := 0
	for _, of := range sent {
		count += len(of)
	}
	next := make([]int, len(sent))
	for _, e := range records(consume(t, reader, topic, count, "isolation=committed")) {
		p := e.Partition
		if next[p] >= len(sent[p]) || !e.message.equal(sent[p][next[p]]) {
			t.Fatalf("%s reads at offset %d of partition %d: %v, its record %d", reader.name, e.Offset, p, e.message, next[p])
		}
		next[p]++
	}
	for p := range sent {
		if next[p] != len(sent[p]) {
			t.Errorf("%s reads %d records of partition %d, want %d", reader.name, next[p], p, len(sent[p]))
		}
	}
}

// wantAborted makes sure that there was something that readers had to leave out.
func wantAborted(t *testing.T, c client, topic string, count int) {
	t.Helper()
	written := 0
	for p := range int32(partitions) {
		for _, b := range batches(t, topic, p) {
			if !b.Attributes().Control() {
				written += int(b.Count())
			}
		}
	}
	if written < 2*count {
		t.Errorf("%s wrote %d records, want each twice, %d", c.name, written, 2*count)
	}
}

// TestApacheCopier runs the copier of Apache's own system tests, which aborts at
// random, and its tool for transactions.
func TestApacheCopier(t *testing.T) {
	const count = 300
	from, to := "copier-in", "copier-out"
	createTopic(t, from, 1)
	createTopic(t, to, 1)
	var messages []message
	for i := range count {
		messages = append(messages, message{Timestamp: 1_700_000_000_000, Key: fmt.Appendf(nil, "%d", i), Value: fmt.Appendf(nil, "value %d", i)})
	}
	box, java := tools(t), clients[0]
	produce(t, java, from, "none", messages)
	printed, status, err := toolbox.RunAlone("org.apache.kafka.tools.TransactionalMessageCopier", []string{
		"--broker-list", broker(t).Addr, "--transactional-id", "apache-copier", "--consumer-group", "apache-copiers",
		"--input-topic", from, "--input-partition", "0", "--output-topic", to,
		"--max-messages", fmt.Sprint(count), "--transaction-size", "20", "--transaction-timeout", "30000", "--enable-random-aborts", "--use-group-metadata",
	})
	if err != nil || status != 0 {
		t.Fatalf("the copier ended with %d (%v):\n%s", status, err, tail(printed))
	}
	for i, e := range records(consume(t, java, to, count, "isolation=committed")) {
		if want := fmt.Sprintf("value %d", i); string(e.Value) != want {
			t.Fatalf("record %d of the copy is %q, want %q", i, e.Value, want)
		}
	}
	if listed := box.MustRun(t, "transactions", "--bootstrap-server", broker(t).Addr, "list"); !strings.Contains(listed, "apache-copier") {
		t.Errorf("Apache's tool lists:\n%s", listed)
	}
	described := box.MustRun(t, "transactions", "--bootstrap-server", broker(t).Addr, "describe", "--transactional-id", "apache-copier")
	if !strings.Contains(described, "CompleteCommit") {
		t.Errorf("Apache's tool describes:\n%s", described)
	}
	if found := box.MustRun(t, "transactions", "--bootstrap-server", broker(t).Addr, "find-hanging", "--broker-id", "1"); strings.Contains(found, to) {
		t.Errorf("Apache's tool finds hanging:\n%s", found)
	}
}
