//go:build compat

package compat

import (
	"fmt"
	"testing"

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
