//go:build compat

package compat

import (
	"fmt"
	"slices"
	"testing"
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
