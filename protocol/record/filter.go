package record

import "math"

// Filter makes batches of some of the records of others, as compaction does. The zero value is ready; it is memory that is used
// again, for one goroutine at a time.
//
// A filtered batch keeps its offsets, from the base to the last, its sequence numbers and its codec; so the state of its producer
// can be read from it, be it only a header. Records that stay are copied as they are packed: only a new delete horizon, which
// stands where they take their timestamps from, packs them anew.
type Filter struct {
	scratch Scratch
	batch   Batch
	plain   []byte   // the batch's records, unpacked
	kept    []stripe // what stays of plain, in order
	payload []byte
}

// stripe is the bytes between two places: that at to is not one of them.
type stripe struct{ from, to int }

// Picked is what Pick found of the records that stay.
type Picked struct {
	Count        int
	All          bool  // nothing goes
	Tombstones   bool  // one of them has no value
	MaxTimestamp int64 // milliseconds; of a batch with the time of the append, that
}

// Pick asks keep for each record of b whether it stays. Append then makes the batch of those that do; b must not change in
// between. Compressed batches are unpacked to at most limit bytes. It fails as Each does.
func (f *Filter) Pick(b Batch, limit int, keep func(*Record) bool) (Picked, error) {
	var err error
	f.batch, f.kept = b, f.kept[:0]
	if f.plain, err = f.scratch.unpack(b, limit); err != nil {
		return Picked{}, err
	}
	p := Picked{MaxTimestamp: math.MinInt64}
	at := 0
	err = b.walk(f.plain, &f.scratch.record, func(r *Record, end int) error {
		if keep(r) {
			f.note(at, end)
			p.Count++
			p.Tombstones = p.Tombstones || r.Value == nil
			p.MaxTimestamp = max(p.MaxTimestamp, b.Timestamp(r))
		}
		at = end
		return nil
	})
	p.All = p.Count == int(b.Count())
	return p, err
}

// note adds a record to what stays.
func (f *Filter) note(from, to int) {
	if n := len(f.kept); n > 0 && f.kept[n-1].to == from {
		f.kept[n-1].to = to
		return
	}
	f.kept = append(f.kept, stripe{from, to})
}

// Append appends to dst the batch of the records that were picked, of which there must be at least one. With setHorizon it gets
// horizon, milliseconds, for its delete horizon; else it keeps what it has.
func (f *Filter) Append(dst []byte, p Picked, setHorizon bool, horizon int64) ([]byte, error) {
	at := len(dst)
	dst = append(dst, f.batch[:HeaderSize]...)
	header := Batch(dst[at:])
	header.putInt32(atCount, int32(p.Count))
	header.putInt64(atMaxTimestamp, p.MaxTimestamp)
	f.payload = f.payload[:0]
	if setHorizon {
		header.putInt16(atAttributes, int16(header.Attributes()|attrDeleteHorizon))
		header.putInt64(atBaseTimestamp, horizon)
		f.packAnew(horizon)
	} else {
		for _, s := range f.kept {
			f.payload = append(f.payload, f.plain[s.from:s.to]...)
		}
	}
	return fillAt(dst, at, header.Attributes().Codec(), 0, f.payload)
}

// packAnew packs the records that stay with their timestamps relative to base.
func (f *Filter) packAnew(base int64) {
	shift := f.batch.BaseTimestamp() - base
	r := &f.scratch.record
	for _, s := range f.kept {
		for in := (reader{rest: f.plain[s.from:s.to]}); len(in.rest) > 0; {
			in.record(r) // Pick has read it before
			r.TimestampDelta += shift
			f.payload = r.append(f.payload)
		}
	}
}

// Trim lets go of memory beyond limit bytes, which a large batch needed.
func (f *Filter) Trim(limit int) {
	f.batch, f.plain = nil, nil
	if cap(f.scratch.plain) > limit {
		f.scratch.plain = nil
	}
	if cap(f.payload) > limit {
		f.payload = nil
	}
}

// AppendEmpty appends to dst a batch of b's header without records, as Kafka writes it for a producer whose last batch it is.
func AppendEmpty(dst []byte, b Batch) []byte {
	at := len(dst)
	dst = append(dst, b[:HeaderSize]...)
	header := Batch(dst[at:])
	header.putInt16(atAttributes, int16(b.Attributes()&(attrLogAppendTime|attrTransactional|attrControl)))
	header.putInt64(atBaseTimestamp, None)
	header.putInt32(atCount, 0)
	header.Seal()
	return dst
}
