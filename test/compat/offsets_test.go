//go:build compat

package compat

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTakeover has the clients of one group come one after the other: each
// goes on where the one before it left off, whoever that was.
func TestTakeover(t *testing.T) {
	const each, topic = 10, "takeover"
	members := present(t)
	createTopic(t, topic, 1)
	cl := producer(t, topic)
	for range each * len(members) {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	next := int64(0)
	for _, c := range members {
		passed := t.Run(c.name, func(t *testing.T) {
			p := start(t, c, "group", topic, "group=takeover", fmt.Sprintf("count=%d", each))
			read := records(p.finish(t))
			if len(read) != each {
				t.Errorf("read %d records, want %d", len(read), each)
			}
			for _, e := range read {
				if e.Offset != next {
					t.Fatalf("read offset %d, want %d", e.Offset, next)
				}
				next++
			}
			wantCommitted(t, "takeover", topic, map[int32]int64{0: next})
		})
		if !passed {
			t.Fatalf("the next can only go on where %s should have stopped", c.name)
		}
	}
}

// TestOffsetReset gives a group of each client offsets that the partitions do not
// have: one before the first record that is left, one behind the last. By
// auto.offset.reset=earliest both are read from the first record on.
func TestOffsetReset(t *testing.T) {
	const count, cut, topic = 10, 5, "reset"
	createTopic(t, topic, 2)
	cl := producer(t, topic)
	for i := range 2 * count {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Partition: int32(i % 2), Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cuts := kadm.Offsets{}
	cuts.AddOffset(topic, 0, cut, -1)
	if _, err := admin(t).DeleteRecords(t.Context(), cuts); err != nil {
		t.Fatal(err)
	}
	for _, c := range present(t) {
		t.Run(c.name, func(t *testing.T) {
			group, committed := "reset-"+c.name, kadm.Offsets{}
			committed.AddOffset(topic, 0, cut-2, -1)
			committed.AddOffset(topic, 1, 3*count, -1)
			want := map[int32]int64{0: count - cut, 1: count}
			if c.waitsBehindEnd {
				want[1] = 0
			}
			if err := admin(t).CommitAllOffsets(t.Context(), group, committed); err != nil {
				t.Fatal(err)
			}
			p := start(t, c, "group", topic, "group="+group, fmt.Sprintf("count=%d", want[0]+want[1]))
			next := map[int32]int64{0: cut, 1: 0}
			for _, e := range records(p.finish(t)) {
				if e.Offset != next[e.Partition] {
					t.Fatalf("partition %d: read offset %d, want %d", e.Partition, e.Offset, next[e.Partition])
				}
				next[e.Partition]++
			}
			if next[0] != count || next[1] != want[1] {
				t.Errorf("read up to %d and %d, want %d and %d", next[0], next[1], count, want[1])
			}
		})
	}
}
