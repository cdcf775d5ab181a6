package compress

import (
	"encoding/binary"
	"math/bits"
)

// The primes of xxHash32.
const (
	xxhPrime1 uint32 = 2654435761
	xxhPrime2 uint32 = 2246822519
	xxhPrime3 uint32 = 3266489917
	xxhPrime4 uint32 = 668265263
	xxhPrime5 uint32 = 374761393
)

// xxh32 is xxHash32 with seed 0, the checksum of LZ4 frames.
func xxh32(b []byte) uint32 {
	h := xxhPrime5
	size := uint32(len(b))
	if len(b) >= 16 {
		h, b = xxhLanes(b)
	}
	h += size
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*xxhPrime3, 17) * xxhPrime4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*xxhPrime5, 11) * xxhPrime1
	}
	h = (h ^ h>>15) * xxhPrime2
	h = (h ^ h>>13) * xxhPrime3
	return h ^ h>>16
}

// xxhLanes mixes all whole groups of 16 bytes in four lanes, and returns what is left.
func xxhLanes(b []byte) (h uint32, rest []byte) {
	p1, p2 := xxhPrime1, xxhPrime2 // variables, so that the sums may wrap
	lanes := [4]uint32{p1 + p2, p2, 0, -p1}
	for ; len(b) >= 16; b = b[16:] {
		for i := range lanes {
			word := binary.LittleEndian.Uint32(b[4*i:])
			lanes[i] = bits.RotateLeft32(lanes[i]+word*xxhPrime2, 13) * xxhPrime1
		}
	}
	for i, turn := range [4]int{1, 7, 12, 18} {
		h += bits.RotateLeft32(lanes[i], turn)
	}
	return h, b
}
