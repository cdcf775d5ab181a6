package log

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// BenchmarkCompaction compacts 500,000 records of 100 bytes and 50,000 keys, 500 a
// batch.
func BenchmarkCompaction(b *testing.B) {
	config := compactConfig()
	config.SegmentBytes, config.MaxMessageBytes, config.IndexIntervalBytes = 16<<20, 1<<20, 4096
	config.FlushOnAck = false
	config.FlushMessages = 1 << 40
	for b.Loop() {
		b.StopTimer()
		d := openTestDir(b, disk.OS, b.TempDir())
		l := openTestLog(b, d, config)
		rng := rand.New(rand.NewPCG(1, 2))
		for range 1000 {
			batch := record.NewBuilder()
			for range 500 {
				batch.Append(testTime.UnixMilli(), binary.BigEndian.AppendUint64(nil, uint64(rng.IntN(50_000))), make([]byte, 100))
			}
			mustAppend(b, l, mustBuild(b, batch))
		}
		roll(b, l, testTime)
		commit(b, l)
		b.SetBytes(l.Size())
		c := testCleaner(d, 128<<20)
		c.config.IOBufferBytes = 512 << 10
		b.StartTimer()
		compactAll(b, c, testTime)
		b.StopTimer()
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
