//go:build compat

package compat

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/test/brokers"
)

// TestAutoCreation has each client write to a topic that is not there, on a broker
// that makes topics as they are used: with as many partitions as num.partitions says.
func TestAutoCreation(t *testing.T) {
	b, err := newBroker(brokers.Options{Dir: t.TempDir(), Settings: map[string]string{"num.partitions": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	startBroker(t, b)
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, c := range present(t) {
		t.Run(c.name, func(t *testing.T) {
			topic := "new-of-" + c.name
			p := startAt(t, b.Addr, c, "produce", topic, "codec=none")
			p.give(t, []message{{Partition: 1, Timestamp: time.Now().UnixMilli(), Key: []byte("k"), Value: []byte("v")}})
			if at := p.offsets(t, 1); at[0] != 0 {
				t.Errorf("its record is at offset %d, want 0", at[0])
			}
			topics, err := kadm.NewClient(cl).ListTopics(t.Context(), topic)
			if err != nil || len(topics[topic].Partitions) != 2 {
				t.Errorf("it has %d partitions, want 2 (%v)", len(topics[topic].Partitions), err)
			}
		})
	}
}
