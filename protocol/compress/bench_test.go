package compress

import (
	"fmt"
	"strings"
	"testing"
)

// 100 KB that look like log lines.
func logLines() []byte {
	var b strings.Builder
	for i := 0; b.Len() < 100_000; i++ {
		fmt.Fprintf(&b, "2026-01-02T15:04:%02d.%03dZ INFO partition orders-%d appended at offset %d\n", i%60, i*7%1000, i%12, i*31)
	}
	return []byte(b.String())
}

func BenchmarkCompress(b *testing.B) {
	src := logLines()
	for _, c := range codecs[1:] {
		b.Run(c.String(), func(b *testing.B) {
			var dst []byte
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = Compress(dst[:0], c, 0, src)
			}
			b.ReportMetric(float64(len(src))/float64(len(dst)), "ratio")
		})
	}
}

func BenchmarkDecompress(b *testing.B) {
	src := logLines()
	for _, c := range codecs[1:] {
		b.Run(c.String(), func(b *testing.B) {
			packed := mustCompress(b, c, 0, src)
			var dst []byte
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if dst, err = Decompress(dst[:0], c, packed, len(src)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
