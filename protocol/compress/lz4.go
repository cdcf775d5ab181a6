package compress

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/pierrec/lz4/v4"
)

// The LZ4 frame format: magic, descriptor (flags, block size, perhaps content size, one byte of checksum), blocks each with its
// length before it, a zero as end mark, perhaps a checksum of all.
const (
	lz4Magic = 0x184D2204
	// lz4Header opens every frame written here: version 1, independent blocks of 64 KiB, no checksums, no content size.
	lz4Header = "\x04\x22\x4d\x18\x60\x40\x82"
	lz4Block  = 64 << 10
	// lz4Stored in a block's length marks a block that is not compressed.
	lz4Stored = 1 << 31
	// lz4Ratio is more than a block can ever expand: one byte adds at most 255 to a length.
	lz4Ratio = 255
	// lz4Default is the level at which the Java client takes the fast compressor; all others take the high compression one.
	lz4Default = 9
)

// Bits of the flag byte.
const (
	lz4FlagVersion         = 0b1100_0000
	lz4FlagVersion1        = 0b0100_0000
	lz4FlagIndependent     = 0b0010_0000
	lz4FlagBlockChecksum   = 0b0001_0000
	lz4FlagContentSize     = 0b0000_1000
	lz4FlagContentChecksum = 0b0000_0100
	lz4FlagReserved        = 0b0000_0011
)

// lz4Levels are the search depths of the high compression writer. The library knows nine; Kafka's levels above 9 take the deepest.
var lz4Levels = [...]lz4.CompressionLevel{
	lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9,
}

var (
	lz4Fast = sync.Pool{New: func() any { return new(lz4.Compressor) }}
	lz4High = sync.Pool{New: func() any { return new(lz4.CompressorHC) }}
)

type lz4Packer interface {
	CompressBlock(src, dst []byte) (int, error)
}

func appendLZ4(dst []byte, level int, src []byte) ([]byte, error) {
	if level == lz4Default {
		c := lz4Fast.Get().(*lz4.Compressor)
		defer lz4Fast.Put(c)
		return appendLZ4Frame(dst, c, src)
	}
	c := lz4High.Get().(*lz4.CompressorHC)
	defer lz4High.Put(c)
	c.Level = lz4Levels[min(level, len(lz4Levels))-1]
	return appendLZ4Frame(dst, c, src)
}

func appendLZ4Frame(dst []byte, c lz4Packer, src []byte) ([]byte, error) {
	dst = append(dst, lz4Header...)
	for chunk := range slices.Chunk(src, lz4Block) {
		dst = slices.Grow(dst, 4+lz4.CompressBlockBound(len(chunk)))
		at := len(dst)
		n, err := c.CompressBlock(chunk, dst[at+4:cap(dst)])
		if err != nil {
			return dst[:at], err
		}
		if n == 0 || n >= len(chunk) {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(len(chunk))|lz4Stored)
			dst = append(dst, chunk...)
			continue
		}
		dst = binary.LittleEndian.AppendUint32(dst, uint32(n))[:at+4+n]
	}
	return append(dst, 0, 0, 0, 0), nil
}

// readLZ4 reads one frame. Blocks that lean on earlier ones are refused: Java clients could not read them.
func readLZ4(dst, src []byte, limit int) ([]byte, error) {
	flags, blockMax, rest, err := readLZ4Header(src)
	if err != nil {
		return dst, err
	}
	out, end := dst, len(dst)+limit
	for {
		if len(rest) < 4 {
			return dst, corrupt(LZ4, "no end mark")
		}
		size := binary.LittleEndian.Uint32(rest)
		rest = rest[4:]
		if size&^lz4Stored == 0 {
			return out, checkLZ4End(flags, out[len(dst):], rest)
		}
		var block []byte
		if block, rest, err = splitLZ4(flags, size&^lz4Stored, blockMax, rest); err != nil {
			return dst, err
		}
		if out, err = readLZ4Block(out, block, size&lz4Stored != 0, blockMax, end-len(out)); err != nil {
			return dst, err
		}
	}
}

// readLZ4Header reads the magic and the descriptor.
func readLZ4Header(src []byte) (flags byte, blockMax int, rest []byte, err error) {
	if len(src) < len(lz4Header) || binary.LittleEndian.Uint32(src) != lz4Magic {
		return 0, 0, nil, corrupt(LZ4, "no frame header")
	}
	flags, size, last := src[4], src[5], 6
	if flags&lz4FlagVersion != lz4FlagVersion1 || flags&lz4FlagReserved != 0 {
		return 0, 0, nil, corrupt(LZ4, "unsupported frame flags")
	}
	if flags&lz4FlagIndependent == 0 {
		return 0, 0, nil, corrupt(LZ4, "blocks that depend on each other are not supported")
	}
	if size&^0x70 != 0 || size>>4 < 4 {
		return 0, 0, nil, corrupt(LZ4, "bad block size")
	}
	if flags&lz4FlagContentSize != 0 {
		last += 8
	}
	if len(src) <= last || byte(xxh32(src[4:last])>>8) != src[last] {
		return 0, 0, nil, corrupt(LZ4, "checksum of the frame header does not match")
	}
	return flags, 1 << (8 + 2*(size>>4)), src[last+1:], nil
}

// splitLZ4 takes a block of the given size, and its checksum if it has one, off the front of src.
func splitLZ4(flags byte, size uint32, blockMax int, src []byte) (block, rest []byte, err error) {
	if uint64(size) > uint64(min(blockMax, len(src))) {
		return nil, nil, corrupt(LZ4, "block reaches past the end or its greatest size")
	}
	block, rest = src[:size], src[size:]
	if flags&lz4FlagBlockChecksum == 0 {
		return block, rest, nil
	}
	if len(rest) < 4 || binary.LittleEndian.Uint32(rest) != xxh32(block) {
		return nil, nil, corrupt(LZ4, "checksum of a block does not match")
	}
	return block, rest[4:], nil
}

// readLZ4Block unpacks a block into all the room it may take, since only its end tells its size; limit is applied after.
func readLZ4Block(dst, block []byte, stored bool, blockMax, limit int) ([]byte, error) {
	if stored {
		if len(block) > limit {
			return dst, tooLarge(LZ4, limit)
		}
		return append(dst, block...), nil
	}
	room := min(blockMax, lz4Ratio*len(block))
	dst = slices.Grow(dst, room)
	n, err := lz4.UncompressBlock(block, dst[len(dst):len(dst)+room])
	if err != nil {
		return dst, corrupt(LZ4, err)
	}
	if n > limit {
		return dst, tooLarge(LZ4, limit)
	}
	return dst[:len(dst)+n], nil
}

func checkLZ4End(flags byte, content, rest []byte) error {
	if flags&lz4FlagContentChecksum != 0 {
		if len(rest) < 4 || binary.LittleEndian.Uint32(rest) != xxh32(content) {
			return corrupt(LZ4, "checksum of the content does not match")
		}
		rest = rest[4:]
	}
	if len(rest) != 0 {
		return corrupt(LZ4, "bytes after the end mark")
	}
	return nil
}
