//go:build compat

package compat

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

const partitions = 3

// samples returns what a client sends: keyed lines, some with headers, a null
// key or value, an empty or a big value. Each key stays in one partition.
func samples(c client, codec string) []message {
	const count = 90
	now := time.Now().UnixMilli()
	messages := make([]message, count)
	for i := range messages {
		key := i % 9
		m := message{
			Partition: int32(key % partitions), Timestamp: now + int64(i),
			Key:   fmt.Appendf(nil, "%s-%d\xff", c.name, key),
			Value: fmt.Appendf(nil, "line %d of %s with %s: %s", i, c.name, codec, strings.Repeat("Klamm ", i%20)),
		}
		switch {
		case i == 17:
			m.Key = nil
		case i == 18:
			m.Value = nil
		case i == 19 && !c.noEmptyValues:
			m.Value = []byte{}
		case i == 20:
			m.Value = []byte(strings.Repeat("a big value; ", 20_000))
		case i%5 == 0 && !c.noHeaders:
			m.Headers = []header{{"source", []byte(c.name)}, {"number", fmt.Append(nil, i)}}
		}
		messages[i] = m
	}
	return messages
}

// TestCodecs has every client write with every codec, and every client read
// what all of them wrote.
func TestCodecs(t *testing.T) {
	present := present(t)
	for _, codec := range codecs {
		t.Run(codec, func(t *testing.T) {
			topic := "codec-" + codec
			createTopic(t, topic, partitions)
			want := ledger{}
			for _, c := range present {
				t.Run(c.name+" writes", func(t *testing.T) { want.write(t, c, topic, codec) })
			}
			wantCodec(t, topic, partitions, codec)
			for _, c := range present {
				t.Run(c.name+" reads", func(t *testing.T) { want.read(t, c, topic) })
			}
		})
	}
}

// place is where a record lies.
type place struct {
	partition int32
	offset    int64
}

// entry is a record and who wrote it.
type entry struct {
	message
	writer client
}

// ledger is what clients wrote, by where the broker said that it lies.
type ledger map[place]entry

// write has c send its samples and notes where they went: in the order in which
// they were sent, which keeps the order for each key.
func (l ledger) write(t *testing.T, c client, topic, codec string, options ...string) {
	t.Helper()
	messages := samples(c, codec)
	last := map[int32]int64{}
	for i, offset := range produce(t, c, topic, codec, messages, options...) {
		m := messages[i]
		if before, ok := last[m.Partition]; ok && offset <= before {
			t.Errorf("record %d came to offset %d of partition %d, the one before it to %d", i, offset, m.Partition, before)
		}
		last[m.Partition] = offset
		at := place{m.Partition, offset}
		if other, taken := l[at]; taken {
			t.Errorf("offset %v was acknowledged for two records: %v and %v", at, other.message, m)
		}
		l[at] = entry{m, c}
	}
}

// read has c read all that was written and compares each record.
func (l ledger) read(t *testing.T, c client, topic string, options ...string) {
	t.Helper()
	if len(l) == 0 {
		t.Skip("nothing was written")
	}
	got := records(consume(t, c, topic, len(l), options...))
	if len(got) != len(l) {
		t.Errorf("got %d records, want %d", len(got), len(l))
	}
	next := map[int32]int64{}
	for _, e := range got {
		if e.Offset != next[e.Partition] {
			t.Fatalf("partition %d: got offset %d, want %d", e.Partition, e.Offset, next[e.Partition])
		}
		next[e.Partition]++
		want := l[place{e.Partition, e.Offset}]
		if want.writer.noTimestamps {
			want.Timestamp = e.Timestamp
		}
		if c.readsEmptyAsNull && len(want.Value) == 0 {
			want.Value = nil
		}
		if !e.message.equal(want.message) {
			t.Errorf("offset %d, written by %s:\n got %v\nwant %v", e.Offset, want.writer.name, e.message, want.message)
		}
	}
}
