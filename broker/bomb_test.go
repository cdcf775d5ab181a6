package broker

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol/compress"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/test/wire"
)

// bomb is a small batch that unfolds to a record of so many bytes.
func bomb(t *testing.T, codec compress.Codec, size int) record.Batch {
	t.Helper()
	b := record.NewBuilder()
	b.Codec, b.Level = codec, 1
	b.Append(time.Now().UnixMilli(), nil, make([]byte, size))
	return build(t, b)
}

// TestBombs: batches that unfold to far more than they are, in topics whose codec
// is another, so that they must be unfolded. What is beyond the limit is refused,
// what is within it is taken; however many come at once, memory stays bounded.
func TestBombs(t *testing.T) {
	const (
		refused, taken = 257 << 20, 20 << 20
		atOnce         = 2
		most           = 1 << 30
	)
	s := besiege(t)
	s.create(map[string]string{"compression.type": "zstd", "max.message.bytes": "60000000"}, "zstd")
	s.create(map[string]string{"compression.type": "lz4", "max.message.bytes": "60000000"}, "lz4")
	for codec, topic := range map[compress.Codec]string{compress.Gzip: "zstd", compress.Snappy: "zstd", compress.LZ4: "zstd", compress.Zstd: "lz4"} {
		large, small := bomb(t, codec, refused), bomb(t, codec, taken)
		runtime.GC() // what making them took
		peak := watchHeap(t)
		var all sync.WaitGroup
		for range atOnce {
			all.Go(func() {
				if code := s.throw(topic, small); code != 0 {
					t.Errorf("%s: a batch that unfolds to %d bytes: error %d", codec, taken, code)
				}
				if code := s.throw(topic, large); code != kerr.MessageTooLarge.Code {
					t.Errorf("%s: a bomb of %d bytes: error %d", codec, refused, code)
				}
			})
		}
		s.mustPut("good", "meanwhile")
		all.Wait()
		if high := peak(); high > most {
			t.Errorf("%s: the heap grew to %d MiB", codec, high>>20)
		}
	}
}

// throw produces one batch on a connection that may send large requests.
func (s *siege) throw(topic string, batch []byte) int16 {
	c, err := wire.Dial(s.addr)
	if err != nil {
		s.t.Error(err)
		return -1
	}
	defer c.Close()
	for _, req := range []kmsg.Request{kmsg.NewPtrApiVersionsRequest(), produceRequest(9, topic, 0, -1, batch)} {
		resp, err := c.RoundTrip(req)
		if err != nil {
			s.t.Error(err)
			return -1
		}
		if produced, ok := resp.(*kmsg.ProduceResponse); ok {
			return produced.Topics[0].Partitions[0].ErrorCode
		}
	}
	return -1
}

// watchHeap looks at the heap's size again and again, and returns a function that
// ends that and tells the largest.
func watchHeap(t *testing.T) (peak func() uint64) {
	stop, high := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
			select {
			case <-tick.C:
			case <-stop:
				high <- most
				return
			}
		}
	}()
	return func() uint64 { close(stop); return <-high }
}
