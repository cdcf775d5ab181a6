package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

var text = []byte(strings.Repeat("what other writers write must be read; ", 10_000))

func wantPlain(t *testing.T, c Codec, packed, want []byte) {
	t.Helper()
	got, err := Decompress(nil, c, packed, len(want))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %v, %d bytes of %d", c, err, len(got), len(want))
	}
}

func wantCorrupt(t *testing.T, c Codec, name string, packed []byte) {
	t.Helper()
	if got, err := Decompress([]byte("kept"), c, packed, 1<<20); !errors.Is(err, ErrCorrupt) || string(got[:4]) != "kept" {
		t.Errorf("%s %s: %v", c, name, err)
	}
}

func TestGzipMembersInARow(t *testing.T) {
	packed := append(mustCompress(t, Gzip, 1, text), mustCompress(t, Gzip, 9, text)...)
	wantPlain(t, Gzip, packed, append(bytes.Clone(text), text...))
	if _, err := Decompress(nil, Gzip, packed, len(text)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("second member over the limit: %v", err)
	}
	wantCorrupt(t, Gzip, "bytes after the member", append(mustCompress(t, Gzip, 0, text), "garbage that is no member"...))
	wantCorrupt(t, Gzip, "nothing", nil)
	var named bytes.Buffer
	w := gzip.NewWriter(&named)
	w.Name, w.Comment = "file", "comment"
	w.Write(text)
	w.Close()
	wantPlain(t, Gzip, named.Bytes(), text)
}

func TestSnappyWithAndWithoutFrame(t *testing.T) {
	framed := mustCompress(t, Snappy, 0, text)
	if !bytes.HasPrefix(framed, []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")) {
		t.Errorf("frame begins with %x", framed[:16])
	}
	wantPlain(t, Snappy, snappy.Encode(nil, text), text)
	wantPlain(t, Snappy, append(bytes.Clone(framed), framed...), append(bytes.Clone(text), text...))

	header := []byte(xerialHeader)
	wantCorrupt(t, Snappy, "nothing", nil)
	wantCorrupt(t, Snappy, "header cut", header[:12])
	wantCorrupt(t, Snappy, "length cut", append(bytes.Clone(header), 0, 0, 0))
	wantCorrupt(t, Snappy, "block past the end", append(bytes.Clone(header), 0, 0, 0, 9, 1))
	wantCorrupt(t, Snappy, "forged size", binary.AppendUvarint(nil, 1<<19))
	// A copy from distance 0 repeats the last distance for some readers, and is an error for all others.
	wantCorrupt(t, Snappy, "repeat", []byte{12, 3 << 2, 'a', 'b', 'c', 'd', 0x01, 4, 0x01, 0})
	wantCorrupt(t, Snappy, "long copies of s2", s2.EncodeBest(nil, make([]byte, 500_000)))
}

func TestLZ4FramesOfOtherWriters(t *testing.T) {
	for name, options := range map[string][]lz4.Option{
		"plain":            nil,
		"block checksums":  {lz4.BlockChecksumOption(true)},
		"content checksum": {lz4.ChecksumOption(true), lz4.SizeOption(uint64(len(text)))},
		"no checksum":      {lz4.ChecksumOption(false)},
		"64 KiB":           {lz4.BlockSizeOption(lz4.Block64Kb), lz4.CompressionLevelOption(lz4.Level9)},
		"4 MiB":            {lz4.BlockSizeOption(lz4.Block4Mb)},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			w := lz4.NewWriter(&out)
			if err := w.Apply(options...); err != nil {
				t.Fatal(err)
			}
			w.Write(text)
			w.Close()
			wantPlain(t, LZ4, out.Bytes(), text)
		})
	}
}

func TestOthersReadLZ4(t *testing.T) {
	var out bytes.Buffer
	if _, err := out.ReadFrom(lz4.NewReader(bytes.NewReader(mustCompress(t, LZ4, 0, text)))); err != nil || !bytes.Equal(out.Bytes(), text) {
		t.Errorf("%v, %d bytes", err, out.Len())
	}
}

// lz4Frame puts a header with a right checksum before blocks.
func lz4Frame(flags, size byte, rest ...byte) []byte {
	frame := []byte{4, 0x22, 0x4d, 0x18, flags, size}
	return append(append(frame, byte(xxh32(frame[4:])>>8)), rest...)
}

func TestMalformedLZ4(t *testing.T) {
	good := []byte{3, 0, 0, 0x80, 'a', 'b', 'c', 0, 0, 0, 0}
	wantPlain(t, LZ4, lz4Frame(0x60, 0x40, good...), []byte("abc"))
	for name, packed := range map[string][]byte{
		"nothing":              nil,
		"other magic":          append([]byte{5}, lz4Frame(0x60, 0x40, good...)[1:]...),
		"header checksum":      append([]byte(lz4Header[:6]), 0x83, 0, 0, 0, 0),
		"version 2":            lz4Frame(0xa0, 0x40, good...),
		"reserved bit":         lz4Frame(0x62, 0x40, good...),
		"dependent blocks":     lz4Frame(0x40, 0x40, good...),
		"block size 3":         lz4Frame(0x60, 0x30, good...),
		"block size bits":      lz4Frame(0x60, 0x41, good...),
		"no end mark":          lz4Frame(0x60, 0x40, good[:7]...),
		"block past the end":   lz4Frame(0x60, 0x40, 4, 0, 0, 0x80, 'a'),
		"block over its size":  lz4Frame(0x60, 0x40, append([]byte{1, 0, 1, 0x80}, make([]byte, 1<<17)...)...),
		"no block checksum":    lz4Frame(0x70, 0x40, good[:7]...),
		"block checksum":       lz4Frame(0x70, 0x40, append(good[:7:7], 1, 2, 3, 4, 0, 0, 0, 0)...),
		"no content checksum":  lz4Frame(0x64, 0x40, good...),
		"content checksum":     lz4Frame(0x64, 0x40, append(good[:11:11], 1, 2, 3, 4)...),
		"bytes after the end":  lz4Frame(0x60, 0x40, append(good[:11:11], 0)...),
		"broken block":         lz4Frame(0x60, 0x40, 3, 0, 0, 0, 0xff, 0xff, 0xff, 0, 0, 0, 0),
		"content size cut off": lz4Frame(0x68, 0x40, 1, 2, 3),
	} {
		wantCorrupt(t, LZ4, name, packed)
	}
}

func TestXXH32(t *testing.T) {
	for in, want := range map[string]uint32{
		"": 0x02cc5d05, "a": 0x550d7456, "abc": 0x32d153ff,
		"Nobody inspects the spammish repetition": 0xe2293b2f,
	} {
		if got := xxh32([]byte(in)); got != want {
			t.Errorf("%q: %08x, want %08x", in, got, want)
		}
	}
}

// zstdStream packs without telling the size, as the Java client does.
func zstdStream(t *testing.T, src []byte, options ...zstd.EOption) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, options...)
	if err != nil {
		t.Fatal(err)
	}
	for chunk := src; len(chunk) > 0; chunk = chunk[min(len(chunk), 10_000):] {
		w.Write(chunk[:min(len(chunk), 10_000)])
		w.Flush()
	}
	w.Close()
	return out.Bytes()
}

func TestZstdOfOtherWriters(t *testing.T) {
	streamed := zstdStream(t, text)
	if _, told := zstdSize(streamed); told {
		t.Fatal("the stream tells its size")
	}
	wantPlain(t, Zstd, streamed, text)
	wantPlain(t, Zstd, zstdStream(t, text, zstd.WithWindowSize(zstdWindow)), text)
	whole := mustCompress(t, Zstd, 0, text)
	wantPlain(t, Zstd, append(bytes.Clone(whole), streamed...), append(bytes.Clone(text), text...))
	wantPlain(t, Zstd, append([]byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc"), whole...), text)
	for _, packed := range [][]byte{streamed, whole, append(bytes.Clone(streamed), whole...)} {
		if _, err := Decompress(nil, Zstd, packed, len(text)-1); !errors.Is(err, ErrTooLarge) {
			t.Errorf("one byte over the limit: %v", err)
		}
	}
}

func TestMalformedZstd(t *testing.T) {
	streamed := zstdStream(t, text)
	damaged := bytes.Clone(streamed)
	damaged[len(damaged)/2] ^= 0xff
	for name, packed := range map[string][]byte{
		"nothing":           nil,
		"no frame":          []byte("not a frame at all"),
		"cut":               streamed[:len(streamed)-1],
		"damaged":           damaged,
		"garbage after":     append(bytes.Clone(streamed), "garbage"...),
		"window of 256 MiB": zstdStream(t, text, zstd.WithWindowSize(2*zstdWindow)),
		"forged size":       append([]byte("\x28\xb5\x2f\xfd\xa0\x00\x00\x10\x00"), 1, 0, 0),
		"dictionary":        []byte("\x28\xb5\x2f\xfd\x21\x07\x00\x01\x00\x00"),
	} {
		wantCorrupt(t, Zstd, name, packed)
	}
}

func ExampleCodec_Levels() {
	for _, c := range []Codec{Gzip, LZ4, Zstd} {
		fmt.Println(c)
		fmt.Println(c.Levels())
	}
	// Output:
	// gzip
	// 1 9 6
	// lz4
	// 1 17 9
	// zstd
	// -131072 22 3
}
