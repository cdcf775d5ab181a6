package compress

import (
	"bytes"
	"testing"
)

// FuzzDecompress wants any bytes to end within the limit, and what came out to survive packing.
func FuzzDecompress(f *testing.F) {
	const limit = 1 << 16
	f.Fuzz(func(t *testing.T, codec int8, packed []byte) {
		c := Codec(codec)
		plain, err := Decompress([]byte("kept"), c, packed, limit)
		if !bytes.HasPrefix(plain, []byte("kept")) {
			t.Fatal("what was there before is gone")
		}
		if err != nil {
			return
		}
		plain = plain[len("kept"):]
		if len(plain) > limit {
			t.Fatalf("%d bytes past a limit of %d", len(plain), limit)
		}
		again, err := Compress(nil, c, 0, plain)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Decompress(nil, c, again, limit); err != nil || !bytes.Equal(back, plain) {
			t.Fatalf("%d bytes came back as %d: %v", len(plain), len(back), err)
		}
	})
}
