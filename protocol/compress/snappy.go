package compress

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/klauspost/compress/snappy"
)

// The framing of the Java snappy library: a magic, two versions, then blocks each with its length before it. It has no end mark,
// and a further header may stand wherever a block may.
const (
	xerialMagic  = "\x82SNAPPY\x00"
	xerialHeader = xerialMagic + "\x00\x00\x00\x01\x00\x00\x00\x01"
	// snappyBlock is how much the Java library packs into one block.
	snappyBlock = 32 << 10
	// snappyRatio is more than a block can ever expand: the densest element makes 64 bytes from 3.
	snappyRatio = 22
)

func appendSnappy(dst, src []byte) []byte {
	dst = append(dst, xerialHeader...)
	for chunk := range slices.Chunk(src, snappyBlock) {
		dst = slices.Grow(dst, 4+snappy.MaxEncodedLen(len(chunk)))
		at := len(dst)
		block := snappy.Encode(dst[at+4:cap(dst)], chunk)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(block)))
		dst = dst[:at+4+len(block)]
	}
	return dst
}

// readSnappy takes the Java library's framing, or else one bare block as most other clients write it.
func readSnappy(dst, src []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(src, []byte(xerialMagic)) {
		return readSnappyBlock(dst, src, limit)
	}
	out, end := dst, len(dst)+limit
	for len(src) > 0 {
		if bytes.HasPrefix(src, []byte(xerialMagic)) {
			if len(src) < len(xerialHeader) {
				return dst, corrupt(Snappy, "header cut short")
			}
			src = src[len(xerialHeader):]
			continue
		}
		block, rest, ok := splitSnappy(src)
		if !ok {
			return dst, corrupt(Snappy, "block reaches past the end")
		}
		var err error
		if out, err = readSnappyBlock(out, block, end-len(out)); err != nil {
			return dst, err
		}
		src = rest
	}
	return out, nil
}

// splitSnappy takes one block with its length off the front of src.
func splitSnappy(src []byte) (block, rest []byte, ok bool) {
	if len(src) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(src)
	if uint64(n) > uint64(len(src)-4) {
		return nil, nil, false
	}
	return src[4 : 4+n], src[4+n:], true
}

func readSnappyBlock(dst, block []byte, limit int) ([]byte, error) {
	size, err := snappy.DecodedLen(block)
	if err != nil {
		return dst, corrupt(Snappy, err)
	}
	if size > limit {
		return dst, tooLarge(Snappy, limit)
	}
	if size > snappyRatio*len(block) {
		return dst, corrupt(Snappy, "block claims more than it can hold")
	}
	if !plainSnappy(block) {
		return dst, corrupt(Snappy, "element of another format")
	}
	dst = slices.Grow(dst, size)
	at := len(dst)
	if _, err := snappy.Decode(dst[at:at+size], block); err != nil {
		return dst[:at], corrupt(Snappy, err)
	}
	return dst[:at+size], nil
}

// plainSnappy says whether block holds no copy from distance 0. The decoder underneath reads those as an extension that other
// readers of snappy do not know, so a consumer would choke on what passed here.
func plainSnappy(block []byte) bool {
	_, n := binary.Uvarint(block)
	for i := n; i < len(block); {
		tag := block[i]
		length, distance := snappyElement(block[i:])
		if tag&3 != 0 && distance == 0 {
			return false
		}
		i += length
	}
	return true
}

// snappyElement gives how many bytes the element at the front of b takes, and how far back it copies from. What is cut short is
// left to the decoder to find.
func snappyElement(b []byte) (length, distance int) {
	size := int(b[0] >> 2)
	switch b[0] & 3 {
	case 1:
		if len(b) >= 2 {
			return 2, int(b[0]>>5)<<8 | int(b[1])
		}
	case 2:
		if len(b) >= 3 {
			return 3, int(binary.LittleEndian.Uint16(b[1:]))
		}
	case 3:
		if len(b) >= 5 {
			return 5, int(binary.LittleEndian.Uint32(b[1:]))
		}
	default:
		if size < 60 {
			return 2 + size, 0
		}
		return longLiteral(b, size-59)
	}
	return len(b), 1
}

// longLiteral gives the length of a literal whose size stands in the width bytes after the tag.
func longLiteral(b []byte, width int) (length, distance int) {
	if len(b) < 1+width {
		return len(b), 0
	}
	size := 0
	for i := width; i > 0; i-- {
		size = size<<8 | int(b[i])
	}
	return 1 + width + size + 1, 0
}
