package metadata

import (
	"encoding/binary"
	"fmt"
)

// EncodeDecision appends the records of one decision to dst, each behind its
// length. No records are no bytes.
func EncodeDecision(dst []byte, records []Record) []byte {
	var one []byte
	for _, r := range records {
		one = Encode(one[:0], r)
		dst = binary.AppendUvarint(dst, uint64(len(one)))
		dst = append(dst, one...)
	}
	return dst
}

// DecodeDecision reads the records of one decision, which fill b. The result
// shares no memory with b.
func DecodeDecision(b []byte) ([]Record, error) {
	decoder := NewDecoder()
	var records []Record
	for len(b) > 0 {
		n, width := binary.Uvarint(b)
		if width <= 0 || n > uint64(len(b)-width) {
			return nil, fmt.Errorf("record %d of a decision: %w", len(records), errShort)
		}
		r, err := decoder.Record(b[width : width+int(n)])
		if err != nil {
			return nil, fmt.Errorf("record %d of a decision: %w", len(records), err)
		}
		records = append(records, r)
		b = b[width+int(n):]
	}
	return records, nil
}
