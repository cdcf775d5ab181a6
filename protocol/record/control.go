package record

import "encoding/binary"

// The kinds of control record that end a transaction.
const (
	ControlAbort  int16 = 0
	ControlCommit int16 = 1
)

// controlKeySize is the size of a control record's key of version 0; later versions may only add to its end.
const controlKeySize = 4

// ControlType reads the key of a control record: the version of its form, and what it means. It is not ok when the key is too
// short or its version negative.
func ControlType(key []byte) (version, kind int16, ok bool) {
	if len(key) < controlKeySize {
		return 0, 0, false
	}
	version = int16(binary.BigEndian.Uint16(key))
	return version, int16(binary.BigEndian.Uint16(key[2:])), version >= 0
}

// AppendControlKey appends the key of a control record of version 0 to dst.
func AppendControlKey(dst []byte, kind int16) []byte {
	return binary.BigEndian.AppendUint16(append(dst, 0, 0), uint16(kind))
}

// AppendEndTxnValue appends the value of a commit or abort record, version 0, to dst: it tells the epoch of the transaction
// coordinator that wrote it.
func AppendEndTxnValue(dst []byte, coordinatorEpoch int32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0, 0), uint32(coordinatorEpoch))
}

// EndTxnEpoch reads the coordinator's epoch from the value of a commit or abort record.
func EndTxnEpoch(value []byte) (epoch int32, ok bool) {
	if len(value) < 6 || int16(binary.BigEndian.Uint16(value)) < 0 {
		return 0, false
	}
	return int32(binary.BigEndian.Uint32(value[2:])), true
}

// BuildMarker makes the batch that ends a producer's transaction: one commit or abort record at a time in milliseconds since 1970.
func BuildMarker(producerID int64, producerEpoch int16, coordinatorEpoch int32, commit bool, timestamp int64) (Batch, error) {
	b := NewBuilder()
	b.ProducerID, b.ProducerEpoch, b.Transactional, b.Control = producerID, producerEpoch, true, true
	kind := ControlAbort
	if commit {
		kind = ControlCommit
	}
	b.Append(timestamp, AppendControlKey(nil, kind), AppendEndTxnValue(nil, coordinatorEpoch))
	return b.Build(nil)
}
