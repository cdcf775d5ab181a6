package compress

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"testing"
)

const (
	bombSize  = 1 << 30
	bombLimit = 1 << 20
)

// bombs are a GiB of zeros in each codec, put together of parts so that they are made at once.
func bombs(tb testing.TB) map[string][]byte {
	zeros := make([]byte, 16<<20)
	block := mustCompress(tb, LZ4, 0, zeros[:lz4Block])
	block = block[len(lz4Header) : len(block)-4]
	chunk := mustCompress(tb, Snappy, 0, zeros[:snappyBlock])[len(xerialHeader):]
	// One frame of blocks that each say "zero, 128 KiB times", in a window of 128 KiB, without size.
	rle := bytes.Repeat([]byte{0x02, 0x00, 0x10, 0}, bombSize/zstdBlock)
	rle = append(rle, 0x03, 0x00, 0x10, 0)
	return map[string][]byte{
		"gzip":        bytes.Repeat(mustCompress(tb, Gzip, 0, zeros), bombSize/len(zeros)),
		"snappy":      slices.Concat([]byte(xerialHeader), bytes.Repeat(chunk, bombSize/snappyBlock)),
		"lz4":         slices.Concat([]byte(lz4Header), bytes.Repeat(block, bombSize/lz4Block), make([]byte, 4)),
		"zstd":        append([]byte("\x28\xb5\x2f\xfd\x00\x38"), rle...),
		"zstd frames": bytes.Repeat(mustCompress(tb, Zstd, 0, zeros), bombSize/len(zeros)),
	}
}

func codecOf(name string) Codec {
	for _, c := range codecs {
		if c != None && name[:3] == c.String()[:3] {
			return c
		}
	}
	return None
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestBombsStopAtTheLimit(t *testing.T) {
	for name, bomb := range bombs(t) {
		t.Run(name, func(t *testing.T) {
			c := codecOf(name)
			if _, err := Decompress(nil, c, mustCompress(t, c, 0, []byte("warm up")), 100); err != nil {
				t.Fatal(err)
			}
			before := allocated()
			out, err := Decompress(nil, c, bomb, bombLimit)
			used := allocated() - before
			if !errors.Is(err, ErrTooLarge) || len(out) != 0 {
				t.Errorf("%d bytes, %v", len(out), err)
			}
			// All that was ever allocated, thrown away or not: slices that grew by a quarter at a time up to the limit.
			if used > 8*bombLimit {
				t.Errorf("%d bytes of memory for a limit of %d", used, bombLimit)
			}
		})
	}
}

// TestForgedSizesCostNothing hands in a few bytes that claim to be as much as the limit lets through.
func TestForgedSizesCostNothing(t *testing.T) {
	const limit = 512 << 20
	for name, in := range map[string]struct {
		codec  Codec
		packed []byte
	}{
		"snappy": {Snappy, []byte{0x80, 0x80, 0x80, 0x80, 0x01, 0, 'a'}},
		"zstd":   {Zstd, []byte("\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x10\x01\x00\x00")},
	} {
		before := allocated()
		_, err := Decompress(nil, in.codec, in.packed, limit)
		if used := allocated() - before; !errors.Is(err, ErrCorrupt) || used > 1<<20 {
			t.Errorf("%s: %v, %d bytes of memory", name, err, used)
		}
	}
}
