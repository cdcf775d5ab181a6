package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// scanChunk is how much a scan reads at once. A batch larger than that is read
// whole all the same.
const scanChunk = 1 << 20

// scanner reads whole batches, one after the other, and verifies them.
type scanner struct {
	file   disk.File
	chunk  int   // how much is read at once
	at     int64 // position of what next returns
	to     int64 // where the file ends
	expect int64 // the lowest offset that may come now
	limit  int64 // no batch holds this offset or a later one
	sparse bool  // compaction may have taken offsets away
	buf    []byte
	from   int64 // position of buf[0]
}

// newScanner reads the file from position at on, as far as to, where offset
// expect or a later one begins.
func newScanner(file disk.File, at, to, expect int64) *scanner {
	return &scanner{file: file, chunk: scanChunk, at: at, to: to, from: at, expect: expect, limit: math.MaxInt64}
}

// errEnd says that a scan has reached the file's end.
var errEnd = errors.New("end of file")

// next returns the batch at the scanner's position and moves on, or errEnd, or
// why there is no sound batch; then it does not move. The batch is valid until
// the next call.
func (s *scanner) next() (record.Batch, error) {
	if s.at == s.to {
		return nil, errEnd
	}
	header, err := s.bytes(s.at, record.HeaderSize)
	if err != nil {
		return nil, err
	}
	size := int64(record.Batch(header).Size())
	if size < record.HeaderSize || size > s.to-s.at {
		return nil, errGarbage
	}
	whole, err := s.bytes(s.at, int(min(size+record.HeaderSize, s.to-s.at)))
	if err != nil {
		return nil, err
	}
	batch := record.Batch(whole[:size])
	if err := batch.Verify(); err != nil {
		return nil, err
	}
	if err := s.follows(batch, record.Batch(whole[size:])); err != nil {
		return nil, err
	}
	s.sparse = s.sparse || batch.BaseOffset() > s.expect || batch.Count() <= batch.LastOffsetDelta()
	s.at += size
	s.expect = batch.NextOffset()
	return batch, nil
}

// follows checks the offset of a batch, which its checksum does not cover, against what
// is before it and behind it, of which the header is given as far as it is there.
func (s *scanner) follows(batch, next record.Batch) error {
	base, end := batch.BaseOffset(), batch.NextOffset()
	switch {
	case base < s.expect || end > s.limit:
		return fmt.Errorf("batch of offsets %d to %d, expected are %d or later before %d: %w", base, end-1, s.expect, s.limit, errGarbage)
	case len(next) < record.HeaderSize || next.Magic() != 2:
		return nil
	case base > s.expect && next.BaseOffset() >= s.expect && next.BaseOffset() < end:
		return fmt.Errorf("batch of offsets %d to %d before one at %d: %w", base, end-1, next.BaseOffset(), errGarbage)
	}
	return nil
}

// bytes returns n bytes at position at.
func (s *scanner) bytes(at int64, n int) ([]byte, error) {
	if int64(n) > s.to-at {
		return nil, errGarbage
	}
	if at < s.from || at+int64(n) > s.from+int64(len(s.buf)) {
		if err := s.fill(at, n); err != nil {
			return nil, err
		}
	}
	return s.buf[at-s.from:][:n], nil
}

func (s *scanner) fill(at int64, n int) error {
	want := int(min(int64(max(n, s.chunk)), s.to-at))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	s.buf, s.from = s.buf[:want], at
	read, err := s.file.ReadAt(s.buf, at)
	s.buf = s.buf[:read]
	if read < n {
		if err == nil || errors.Is(err, io.EOF) {
			return errGarbage
		}
		return err
	}
	return nil
}

// nothingFollows reports whether the file has only zeros from the scanner's position on,
// as where room was made ahead of what is appended.
func (s *scanner) nothingFollows() bool {
	for at := s.at; at < s.to; at += int64(s.chunk) {
		raw, err := s.bytes(at, int(min(int64(s.chunk), s.to-at)))
		if err != nil || !allZero(raw) {
			return false
		}
	}
	return true
}

// resume looks for the next sound batch after the scanner's position and moves
// there.
func (s *scanner) resume() bool {
	if size, ok := s.claimedSize(); ok && s.soundAt(s.at+size) {
		s.at += size
		return true
	}
	for at := s.at + 1; at+record.HeaderSize <= s.to; at++ {
		if s.soundAt(at) {
			s.at = at
			return true
		}
	}
	return false
}

// claimedSize is the length that the damaged batch says it has.
func (s *scanner) claimedSize() (int64, bool) {
	header, err := s.bytes(s.at, record.HeaderSize)
	if err != nil {
		return 0, false
	}
	size := int64(record.Batch(header).Size())
	return size, size >= record.HeaderSize && size <= s.to-s.at-record.HeaderSize
}

// farthestGap is how many offsets a damaged stretch may have held: with fewer
// bytes than that a record cannot be written. Where compaction took some away
// there may be any number.
func (s *scanner) farthestGap(bytes int64) int64 {
	if s.sparse {
		return maxRelativeOffset
	}
	return bytes
}

// soundAt reports whether a sound batch that may follow begins at position at. The cheap looks come first: this runs for every byte of
// a damaged stretch.
func (s *scanner) soundAt(at int64) bool {
	raw, err := s.bytes(at, record.HeaderSize)
	if err != nil {
		return false
	}
	header := record.Batch(raw)
	size := int64(header.Size())
	base := header.BaseOffset()
	if header.Magic() != 2 || base < s.expect || base > s.expect+s.farthestGap(at-s.at) || header.NextOffset() > s.limit || size < record.HeaderSize || size > s.to-at {
		return false
	}
	whole, err := s.bytes(at, int(size))
	return err == nil && record.Batch(whole).Verify() == nil
}

// torn reports whether what lies between two positions, where a batch should
// begin, looks half-written: a block that it touches has nothing but zeros, as one
// that never reached the disk reads. The last such block may reach into the sound
// batch that follows, whose offset begins with zeros: its head is missing there too,
// and reads as it should.
func (s *scanner) torn(from, to int64) bool {
	const block = 512
	whole := (from + block - 1) / block * block
	if s.headMissing(from, min(whole, to)) {
		return true
	}
	for at := whole; at < to; at += block {
		raw, err := s.bytes(at, int(min(block, s.to-at)))
		if err != nil || allZero(raw) {
			return true
		}
	}
	return false
}

// headMissing reports whether the block in which a batch begins, behind others,
// reads as zeros from there on, where the batch would have none: it begins with
// its offset and its length.
func (s *scanner) headMissing(from, to int64) bool {
	head := binary.BigEndian.AppendUint64(nil, uint64(s.expect))
	head = append(head, 0xff, 0xff, 0xff, 0xff)
	raw, err := s.bytes(from, int(to-from))
	return err != nil || allZero(raw) && !allZero(head[:min(len(head), len(raw))])
}

func allZero(raw []byte) bool {
	for _, b := range raw {
		if b != 0 {
			return false
		}
	}
	return true
}
