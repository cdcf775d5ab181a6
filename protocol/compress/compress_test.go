package compress

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var codecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

func mustCompress(tb testing.TB, c Codec, level int, src []byte) []byte {
	tb.Helper()
	packed, err := Compress(nil, c, level, src)
	if err != nil {
		tb.Fatalf("compress with %s at level %d: %v", c, level, err)
	}
	return packed
}

// samples are contents of every kind that the block formats treat differently.
func samples() map[string][]byte {
	noise := make([]byte, 300_000)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(noise)
	return map[string][]byte{
		"empty":         {},
		"one byte":      {7},
		"text":          []byte(strings.Repeat("offset 12, partition 3; ", 5000)),
		"noise":         noise,
		"snappy block":  noise[:snappyBlock],
		"block and one": noise[:snappyBlock+1],
		"lz4 block":     noise[:lz4Block],
		"zeros":         make([]byte, 1<<20),
	}
}

func TestEveryCodecGivesBackWhatItTook(t *testing.T) {
	for _, c := range codecs {
		for name, src := range samples() {
			t.Run(fmt.Sprintf("%s/%s", c, name), func(t *testing.T) {
				packed, err := Compress([]byte("before"), c, 0, src)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.HasPrefix(packed, []byte("before")) {
					t.Fatal("did not append")
				}
				plain, err := Decompress([]byte("kept"), c, packed[len("before"):], len(src))
				if err != nil {
					t.Fatal(err)
				}
				if string(plain) != "kept"+string(src) {
					t.Fatalf("got %d bytes back, want %d that are the same", len(plain)-len("kept"), len(src))
				}
			})
		}
	}
}

func TestEveryLevelGivesBackWhatItTook(t *testing.T) {
	src := []byte(strings.Repeat("level by level; ", 3000))
	for _, c := range []Codec{Gzip, LZ4, Zstd} {
		lowest, highest, _ := c.Levels()
		for level := max(lowest, -7); level <= highest; level++ {
			packed := mustCompress(t, c, level, src)
			if len(packed) >= len(src) {
				t.Errorf("%s level %d: %d bytes did not shrink (%d)", c, level, len(src), len(packed))
			}
			plain, err := Decompress(nil, c, packed, len(src))
			if err != nil || !bytes.Equal(plain, src) {
				t.Errorf("%s level %d: %v, %d bytes", c, level, err, len(plain))
			}
		}
	}
}

func TestLevelsOutsideTheRangeAreRefused(t *testing.T) {
	for _, bad := range []struct {
		codec Codec
		level int
	}{{Gzip, 10}, {Gzip, -2}, {LZ4, 18}, {LZ4, -1}, {Zstd, 23}, {Zstd, -131073}} {
		if _, err := Compress(nil, bad.codec, bad.level, nil); !errors.Is(err, ErrLevel) {
			t.Errorf("%s level %d: %v", bad.codec, bad.level, err)
		}
	}
	if !bytes.Equal(mustCompress(t, Gzip, -1, []byte("abc")), mustCompress(t, Gzip, 6, []byte("abc"))) {
		t.Error("gzip level -1 is not level 6")
	}
}

func TestRandomDataAndItsTruncations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(codecs[1:]).Draw(t, "codec")
		words := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 0, 60).Draw(t, "words")
		src := bytes.Join(append(words, words...), nil)
		packed, err := Compress(nil, c, 0, src)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := Decompress(nil, c, packed, len(src))
		if err != nil || !bytes.Equal(plain, src) {
			t.Fatalf("%s: %v, %d bytes of %d", c, err, len(plain), len(src))
		}
		if len(src) > 0 {
			if _, err := Decompress(nil, c, packed, len(src)-1); !errors.Is(err, ErrTooLarge) {
				t.Fatalf("%s: one byte over the limit: %v", c, err)
			}
		}
		cut := rapid.IntRange(0, len(packed)-1).Draw(t, "cut")
		got, err := Decompress(nil, c, packed[:cut], len(src))
		if err == nil && bytes.Equal(got, src) && len(src) > 0 {
			t.Fatalf("%s: the first %d of %d bytes still gave all", c, cut, len(packed))
		}
	})
}

func TestNames(t *testing.T) {
	for _, c := range codecs {
		if got, err := Parse(c.String()); err != nil || got != c {
			t.Errorf("Parse(%q) = %v, %v", c, got, err)
		}
	}
	if got, err := Parse("uncompressed"); err != nil || got != None {
		t.Errorf("uncompressed: %v, %v", got, err)
	}
	if _, err := Parse("lzma"); !errors.Is(err, ErrCodec) {
		t.Errorf("lzma: %v", err)
	}
	for _, c := range []Codec{5, 7, -1} {
		if _, err := Compress(nil, c, 0, nil); !errors.Is(err, ErrCodec) {
			t.Errorf("compress with %s: %v", c, err)
		}
		if _, err := Decompress(nil, c, nil, 10); !errors.Is(err, ErrCodec) {
			t.Errorf("decompress with %s: %v", c, err)
		}
	}
}
