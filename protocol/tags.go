package protocol

import "encoding/binary"

// DamagedTag is the tag by which the answer to DescribeLogDirs names the first offset
// of a replica that is damaged, or is being copied anew because it was, as 8 bytes in
// big endian. Clients that do not know it read over it.
const DamagedTag uint32 = 10_000

// EncodeOffset writes an offset as a tag's value.
func EncodeOffset(offset int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(offset)) }

// DecodeOffset reads what EncodeOffset wrote; ok is false where it is something else.
func DecodeOffset(value []byte) (offset int64, ok bool) {
	if len(value) != 8 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(value)), true
}
