// Package compress packs and unpacks the record payloads of batches in the four codecs of the Kafka protocol.
//
// What it writes can be read by every Kafka client: snappy goes out in the framing of the Java library, LZ4 as a frame of
// independent 64 KiB blocks without checksums, zstd as one frame. What it reads may come from anywhere, so nothing a
// compressed form says of its own size is believed unless its bytes could hold as much, and memory ends at the caller's limit.
//
// All functions may be called from many goroutines at once. Encoders and decoders are large, so they are kept and shared
// between calls; none of them starts a goroutine.
package compress

import (
	"errors"
	"fmt"
	"math"
)

// Codec is a compression codec by its number in the attributes of a record batch.
type Codec int8

// The codecs of the Kafka protocol.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

var names = [...]string{None: "none", Gzip: "gzip", Snappy: "snappy", LZ4: "lz4", Zstd: "zstd"}

var (
	// ErrTooLarge says that the data would grow past the caller's limit.
	ErrTooLarge = errors.New("decompressed data is larger than the limit")
	// ErrCorrupt says that the bytes are not what the codec writes.
	ErrCorrupt = errors.New("compressed data is corrupt")
	// ErrCodec says that a number or name stands for no codec.
	ErrCodec = errors.New("unknown compression codec")
	// ErrLevel says that a codec has no such level.
	ErrLevel = errors.New("compression level out of range")
)

// Known says whether c is one of the five codecs; the three bits in a batch's attributes could say more.
func (c Codec) Known() bool { return c >= None && c <= Zstd }

// String gives the codec's name as topic configuration writes it, but "none" for no compression.
func (c Codec) String() string {
	if !c.Known() {
		return fmt.Sprintf("codec(%d)", int8(c))
	}
	return names[c]
}

// Parse finds a codec by its name. "uncompressed", the word of topic configuration, means None as well.
func Parse(name string) (Codec, error) {
	if name == "uncompressed" {
		return None, nil
	}
	for c, n := range names {
		if n == name {
			return Codec(c), nil
		}
	}
	return None, fmt.Errorf("%w %q (known: none, gzip, snappy, lz4, zstd)", ErrCodec, name)
}

// Levels gives the lowest and highest level of a codec, and the one that level 0 stands for. These are the figures of KIP-390,
// which topic configuration uses; codecs without levels answer zeros. Gzip also knows -1, which is its default 6.
func (c Codec) Levels() (lowest, highest, standard int) {
	switch c {
	case Gzip:
		return 1, 9, gzipDefault
	case LZ4:
		return 1, 17, lz4Default
	case Zstd:
		return -131072, 22, zstdDefault
	default:
		return 0, 0, 0
	}
}

// level turns what the caller asked for into a level within the codec's range.
func (c Codec) level(asked int) (int, error) {
	lowest, highest, standard := c.Levels()
	switch {
	case asked == 0, lowest == highest, c == Gzip && asked == -1:
		return standard, nil
	case asked < lowest || asked > highest:
		return 0, fmt.Errorf("%w: %s takes %d to %d, not %d", ErrLevel, c, lowest, highest, asked)
	}
	return asked, nil
}

// Compress appends src, packed with codec c, to dst and returns the whole. Level 0 stands for the codec's default; codecs
// without levels ignore it. With None it appends src as it is.
func Compress(dst []byte, c Codec, level int, src []byte) ([]byte, error) {
	level, err := c.level(level)
	if err != nil {
		return dst, err
	}
	switch c {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return appendGzip(dst, level, src)
	case Snappy:
		return appendSnappy(dst, src), nil
	case LZ4:
		return appendLZ4(dst, level, src)
	case Zstd:
		return appendZstd(dst, level, src)
	}
	return dst, fmt.Errorf("%w: %s", ErrCodec, c)
}

// Decompress appends what src unpacks to by codec c to dst and returns the whole. It fails with ErrTooLarge as soon as more than
// limit bytes would be appended, and with ErrCorrupt when src is not what the codec writes; dst's own bytes stay as they are.
// Memory beyond dst is at most about twice limit, whatever src claims.
func Decompress(dst []byte, c Codec, src []byte, limit int) ([]byte, error) {
	limit = min(max(limit, 0), math.MaxInt-len(dst))
	switch c {
	case None:
		if len(src) > limit {
			return dst, tooLarge(c, limit)
		}
		return append(dst, src...), nil
	case Gzip:
		return readGzip(dst, src, limit)
	case Snappy:
		return readSnappy(dst, src, limit)
	case LZ4:
		return readLZ4(dst, src, limit)
	case Zstd:
		return readZstd(dst, src, limit)
	}
	return dst, fmt.Errorf("%w: %s", ErrCodec, c)
}

func tooLarge(c Codec, limit int) error {
	return fmt.Errorf("%s: %w of %d bytes", c, ErrTooLarge, limit)
}

func corrupt(c Codec, why any) error {
	return fmt.Errorf("%s: %w: %v", c, ErrCorrupt, why)
}
