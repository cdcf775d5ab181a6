package record

import "encoding/binary"

// summarize is Check on the hot path: it goes over the uncompressed records of a
// fresh batch without taking them apart. Where it reports false something is
// wrong, or unusual, and Each tells what.
//
// It finds strictly less to be in order than Each does, which a test holds.
func (b Batch) summarize(plain []byte) (sum Summary, ok bool) {
	sum = Summary{Count: int(b.Count()), FirstWithoutKey: -1}
	earliest, latest := int64(0), int64(0) // timestamp deltas
	at := 0
	for i := range sum.Count {
		size, next := number(plain, at)
		end := next + int(size)
		if next == 0 || size < 0 || end > len(plain) {
			return sum, false
		}
		delta, offset, next := stamps(plain[:end], next+1) // behind the attributes
		if next == 0 || offset != int64(i) {
			return sum, false
		}
		keySize, next := field(plain[:end], next)
		if next == 0 {
			return sum, false
		}
		if _, next = field(plain[:end], next); next == 0 {
			return sum, false
		}
		if at = skipHeaders(plain[:end], next); at != end {
			return sum, false
		}
		if i == 0 || delta < earliest {
			earliest = delta
		}
		if i == 0 || delta > latest {
			latest, sum.OffsetDeltaOfMaxTimestamp = delta, int32(i)
		}
		if keySize < 0 && sum.FirstWithoutKey < 0 {
			sum.FirstWithoutKey = i
		}
	}
	sum.MinTimestamp, sum.MaxTimestamp = b.BaseTimestamp()+earliest, b.BaseTimestamp()+latest
	if b.Attributes().LogAppendTime() {
		sum.MinTimestamp, sum.MaxTimestamp, sum.OffsetDeltaOfMaxTimestamp = b.MaxTimestamp(), b.MaxTimestamp(), 0
	}
	return sum, at == len(plain)
}

// number reads a zigzag number of up to 32 bits at position at, and returns the
// position after it, 0 where there is none. Nearly all that records have take one byte
// or two.
func number(p []byte, at int) (v int64, next int) {
	if at < len(p) && p[at] < 0x80 {
		return int64(p[at]>>1) ^ -int64(p[at]&1), at + 1
	}
	if at+1 < len(p) && p[at+1] < 0x80 {
		u := uint32(p[at]&0x7f) | uint32(p[at+1])<<7
		return int64(u>>1) ^ -int64(u&1), at + 2
	}
	return longNumber(p, at)
}

func longNumber(p []byte, at int) (v int64, next int) {
	if at >= len(p) {
		return 0, 0
	}
	u, n := binary.Uvarint(p[at:])
	if n <= 0 || n > 5 || u > 1<<32-1 {
		return 0, 0
	}
	return int64(u>>1) ^ -int64(u&1), at + n
}

// stamps reads a record's timestamp and offset deltas.
func stamps(p []byte, at int) (timestamp, offset int64, next int) {
	if at > len(p) {
		return 0, 0, 0
	}
	u, n := binary.Uvarint(p[at:])
	if n <= 0 {
		return 0, 0, 0
	}
	offset, next = number(p, at+n)
	return int64(u>>1) ^ -int64(u&1), offset, next
}

// field passes over a length and that many bytes. A negative size is null.
func field(p []byte, at int) (size int64, next int) {
	size, next = number(p, at)
	if next == 0 || size <= 0 {
		return size, next
	}
	if size > int64(len(p)-next) {
		return 0, 0
	}
	return size, next + int(size)
}

// skipHeaders returns the position behind a record's headers, 0 where they are
// malformed.
func skipHeaders(p []byte, at int) (next int) {
	count, next := number(p, at)
	if next == 0 || count < 0 || count > int64(len(p)-next)/2 {
		return 0
	}
	for range count {
		size, after := field(p, next)
		if after == 0 || size < 0 {
			return 0
		}
		if _, next = field(p, after); next == 0 {
			return 0
		}
	}
	return next
}
