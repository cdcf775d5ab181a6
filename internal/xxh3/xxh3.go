// Package xxh3 is the 64-bit XXH3 hash, without a seed. Kafka identifies what a
// group's topics look like by it.
package xxh3

import (
	"encoding/binary"
	"math/bits"
)

const (
	prime32a = 0x9E3779B1
	prime32b = 0x85EBCA77
	prime32c = 0xC2B2AE3D
	prime64a = 0x9E3779B185EBCA87
	prime64b = 0xC2B2AE3D27D4EB4F
	prime64c = 0x165667B19E3779F9
	prime64d = 0x85EBCA77C2B2AE63
	prime64e = 0x27D4EB2F165667C5
	primeMxA = 0x165667919E3779F9
	primeMxB = 0x9FB21C651E98DF25
)

// secret is the default one of the specification.
var secret = [192]byte{
	0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
	0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
	0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
	0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
	0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
	0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
	0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
	0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
	0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
	0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
	0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
	0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
}

func at64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
func at32(b []byte, i int) uint64 { return uint64(binary.LittleEndian.Uint32(b[i:])) }

// Sum64 returns the hash of b.
func Sum64(b []byte) uint64 {
	switch n := len(b); {
	case n <= 16:
		return upTo16(b)
	case n <= 128:
		return upTo128(b)
	case n <= 240:
		return upTo240(b)
	}
	return long(b)
}

func upTo16(b []byte) uint64 {
	n := len(b)
	key := secret[:]
	switch {
	case n > 8:
		low := at64(key, 24) ^ at64(key, 32) ^ at64(b, 0)
		high := at64(key, 40) ^ at64(key, 48) ^ at64(b, n-8)
		return avalanche(uint64(n) + bits.ReverseBytes64(low) + high + fold(low, high))
	case n >= 4:
		h := at64(key, 8) ^ at64(key, 16) ^ (at32(b, n-4) + at32(b, 0)<<32)
		h ^= bits.RotateLeft64(h, 49) ^ bits.RotateLeft64(h, 24)
		h *= primeMxB
		h ^= h>>35 + uint64(n)
		h *= primeMxB
		return h ^ h>>28
	case n > 0:
		h := uint64(b[0])<<16 | uint64(b[n/2])<<24 | uint64(b[n-1]) | uint64(n)<<8
		return avalanche64(h ^ at32(key, 0) ^ at32(key, 4))
	}
	return avalanche64(at64(key, 56) ^ at64(key, 64))
}

func upTo128(b []byte) uint64 {
	n := len(b)
	sum := uint64(n) * prime64a
	for i := (n - 1) / 32; i >= 0; i-- {
		sum += mix(b[16*i:], 32*i) + mix(b[n-16*(i+1):], 32*i+16)
	}
	return avalanche(sum)
}

func upTo240(b []byte) uint64 {
	n := len(b)
	sum := uint64(n) * prime64a
	for i := range 8 {
		sum += mix(b[16*i:], 16*i)
	}
	sum = avalanche(sum)
	for i := 8; i < n/16; i++ {
		sum += mix(b[16*i:], 16*(i-8)+3)
	}
	return avalanche(sum + mix(b[n-16:], 136-17))
}

// mix takes in 16 bytes with 16 of the secret.
func mix(b []byte, at int) uint64 {
	return fold(at64(b, 0)^at64(secret[:], at), at64(b, 8)^at64(secret[:], at+8))
}

// fold is the product's halves, one on the other.
func fold(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}

func avalanche(h uint64) uint64 {
	h ^= h >> 37
	h *= primeMxA
	return h ^ h>>32
}

func avalanche64(h uint64) uint64 {
	h ^= h >> 33
	h *= prime64b
	h ^= h >> 29
	h *= prime64c
	return h ^ h>>32
}

const (
	stripe          = 64
	stripesPerBlock = (len(secret) - stripe) / 8
	block           = stripe * stripesPerBlock
)

func long(b []byte) uint64 {
	acc := [8]uint64{prime32c, prime64a, prime64b, prime64c, prime64d, prime32b, prime64e, prime32a}
	n := len(b)
	blocks := (n - 1) / block
	for i := range blocks {
		for s := range stripesPerBlock {
			accumulate(&acc, b[i*block+s*stripe:], 8*s)
		}
		scramble(&acc)
	}
	rest := b[blocks*block:]
	for s := range (len(rest) - 1) / stripe {
		accumulate(&acc, rest[s*stripe:], 8*s)
	}
	accumulate(&acc, b[n-stripe:], len(secret)-stripe-7)
	h := uint64(n) * prime64a
	for i := 0; i < 8; i += 2 {
		h += fold(acc[i]^at64(secret[:], 11+8*i), acc[i+1]^at64(secret[:], 19+8*i))
	}
	return avalanche(h)
}

// accumulate takes in 64 bytes with 64 of the secret.
func accumulate(acc *[8]uint64, b []byte, at int) {
	for i := range acc {
		value := at64(b, 8*i)
		keyed := value ^ at64(secret[:], at+8*i)
		acc[i^1] += value
		acc[i] += (keyed & 0xffffffff) * (keyed >> 32)
	}
}

func scramble(acc *[8]uint64) {
	for i := range acc {
		acc[i] ^= acc[i] >> 47
		acc[i] ^= at64(secret[:], len(secret)-stripe+8*i)
		acc[i] *= prime32a
	}
}
