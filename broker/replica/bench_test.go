package replica

import (
	"testing"
	"time"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// BenchmarkLoneReplica appends to a partition that has one replica, with nothing
// flushed, and hears of each batch that it is committed: what replication costs who
// does not use it.
func BenchmarkLoneReplica(b *testing.B) {
	tp, l := openFlights(b, disk.NewMemory(), 0, false)
	p := NewSet().Add(tp, flightsID, 3, l)
	builder := record.NewBuilder()
	builder.Append(time.Now().UnixMilli(), nil, make([]byte, 100))
	batch, err := builder.Build(nil)
	if err != nil {
		b.Fatal(err)
	}
	heard, fresh := 0, []byte(nil)
	for b.Loop() {
		fresh = append(fresh[:0], batch...)
		at, err := p.Append(fresh, log.AppendOptions{Now: time.Now()})
		if err != nil {
			b.Fatal(err)
		}
		p.WhenCommitted(at.LeaderEpoch, at.LastOffset, time.Time{}, func(error) func() { heard++; return nil })
	}
	if heard != b.N {
		b.Errorf("heard of %d of %d", heard, b.N)
	}
}
