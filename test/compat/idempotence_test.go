//go:build compat

package compat

import (
	"testing"
)

// TestIdempotent has each client write as an idempotent producer: its batches
// bear its producer id, in sequences without a gap.
func TestIdempotent(t *testing.T) {
	for _, c := range present(t) {
		t.Run(c.name, func(t *testing.T) {
			if c.noIdempotence {
				t.Skipf("%s has no idempotent producer", c.name)
			}
			topic := "idempotent-" + c.name
			createTopic(t, topic, partitions)
			want := ledger{}
			want.write(t, c, topic, "none", "idempotent=true")
			for p := range int32(partitions) {
				wantSequences(t, topic, p)
			}
			want.read(t, c, topic)
		})
	}
}

// wantSequences checks producer id, epoch and sequence of each batch. A
// program that runs anew for each partition has another id there.
func wantSequences(t *testing.T, topic string, partition int32) {
	t.Helper()
	next := int32(0)
	found := batches(t, topic, partition)
	for _, b := range found {
		if b.ProducerID() < 0 || b.ProducerID() != found[0].ProducerID() || b.ProducerEpoch() != 0 {
			t.Errorf("%s-%d offset %d: producer id %d, epoch %d", topic, partition, b.BaseOffset(), b.ProducerID(), b.ProducerEpoch())
		}
		if b.BaseSequence() != next {
			t.Errorf("%s-%d offset %d: sequence %d, want %d", topic, partition, b.BaseOffset(), b.BaseSequence(), next)
		}
		next += b.Count()
	}
}
