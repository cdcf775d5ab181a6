package xxh3

import "testing"

// TestSum64 holds values that another implementation gave (hash4j, as Kafka uses
// it), of every length at which the algorithm changes.
func TestSum64(t *testing.T) {
	var b [3000]byte
	for i := range b {
		b[i] = byte(i*7 + 3)
	}
	for n, want := range map[int]uint64{
		0:    0x2d06800538d394c2,
		2:    0x1c9074b93943b86c,
		3:    0xa9088dda485b481c,
		4:    0x6d9253b16c8b1ed3,
		5:    0x998620e10e3a4b37,
		8:    0x60539db630471163,
		9:    0xfeff668361d723a8,
		12:   0x6829454be0cc3199,
		16:   0xb8c859b0f030b585,
		17:   0x714a04408e79b80f,
		31:   0xed41ac283d0674b3,
		32:   0x19ff4ee1d6ba1a55,
		33:   0x3e44983ad21679c8,
		64:   0x287eb1fa9e4be2c1,
		65:   0x829218de4d798646,
		100:  0xb5937857f0d78c9f,
		128:  0x67425a03650261bf,
		129:  0xc664bf3311c6abc4,
		200:  0x746cd0025327bf5b,
		239:  0x1d861931c1f3cafa,
		240:  0x64556dc6b462a6cf,
		255:  0xb67b6637a76e6c39,
		256:  0x3c38817f6d79c0da,
		257:  0x2a300c3495738ea6,
		512:  0xf58202b8d9019d1d,
		1023: 0xd26986a0b85dcc44,
		1024: 0x9b81661c641c72b1,
		1025: 0x806c2072ed713576,
		1100: 0x8e7ec0c060bbe423,
		2048: 0xabe604813ba62ed1,
		2049: 0x55aed42c9f1554b6,
		3000: 0xc89178bb873c6b3d,
	} {
		if got := Sum64(b[:n]); got != want {
			t.Errorf("the hash of %d bytes is %016x, want %016x", n, got, want)
		}
	}
}
