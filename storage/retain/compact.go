package retain

// CompactPolicy is when a log is compacted.
type CompactPolicy struct {
	MinDirtyRatio float64 // min.cleanable.dirty.ratio, 0 to 1
	MinLagMs      int64   // min.compaction.lag.ms
	MaxLagMs      int64   // max.compaction.lag.ms
}

// Compactable is what is known of a log that may be compacted.
type Compactable struct {
	Segments   []Segment // the last is the active one
	LogStart   int64
	LogEnd     int64
	LastStable int64 // at most the high watermark
	FirstDirty int64 // where the last pass got; negative where there was none
}

// CompactRange is what of a log a pass would work on.
type CompactRange struct {
	FirstDirty int64 // first offset that no pass has taken in
	Until      int64 // offset before which it ends: what follows may not be compacted yet
	CleanBytes int64 // of the segments before
	DirtyBytes int64 // of the segments that no pass has taken in and one may
	OverdueMs  int64 // by how much max.compaction.lag.ms is exceeded, 0 where it is not
}

// Ratio is the part of the log that a pass may look at which is dirty, 0 to 1.
func (r CompactRange) Ratio() float64 {
	if r.DirtyBytes == 0 {
		return 0
	}
	return float64(r.DirtyBytes) / float64(r.CleanBytes+r.DirtyBytes)
}

// Due reports whether it is worth a pass.
func (r CompactRange) Due(p CompactPolicy) bool {
	return r.DirtyBytes > 0 && (r.OverdueMs > 0 || r.Ratio() > p.MinDirtyRatio)
}

// Compact returns what of a log may be compacted now, in milliseconds. As in
// Kafka that ends with the last stable offset, with the active segment, and with
// the first segment that has a record younger than min.compaction.lag.ms. A
// place to begin that the log does not have (it was cut, or its start has moved)
// is its start.
func Compact(p CompactPolicy, l Compactable, now int64) CompactRange {
	r := CompactRange{FirstDirty: l.FirstDirty}
	if r.FirstDirty < l.LogStart || r.FirstDirty > l.LogEnd {
		r.FirstDirty = l.LogStart
	}
	sealed, active := l.Segments[:len(l.Segments)-1], l.Segments[len(l.Segments)-1]
	r.Until = min(l.LastStable, active.BaseOffset)
	for i, s := range sealed {
		if sealedEnd(l.Segments, i) > r.FirstDirty && p.MinLagMs > 0 && s.newest() > now-p.MinLagMs {
			r.Until = min(r.Until, s.BaseOffset)
			break
		}
	}
	r.Until = max(r.Until, r.FirstDirty)
	for i, s := range sealed {
		r.count(p, s, sealedEnd(l.Segments, i), now)
	}
	return r
}

func sealedEnd(segments []Segment, i int) int64 { return segments[i+1].BaseOffset }

// count takes in a segment that ends at end. One that holds Until counts only
// when it can be taken in whole.
func (r *CompactRange) count(p CompactPolicy, s Segment, end, now int64) {
	switch {
	case end <= r.FirstDirty:
		r.CleanBytes += s.Size
		return
	case end <= r.Until:
		r.DirtyBytes += s.Size
	}
	if late := now - max(p.MaxLagMs, 0) - s.FirstTimestamp; s.FirstTimestamp > 0 && late > r.OverdueMs {
		r.OverdueMs = late
	}
}

// newest is the time of a segment's newest record, milliseconds.
func (s Segment) newest() int64 {
	if s.MaxTimestamp < 0 {
		return s.LastModified
	}
	return s.MaxTimestamp
}

// GroupLimits is how much one segment may become of several.
type GroupLimits struct {
	Bytes      int64 // segment.bytes
	IndexBytes int64 // segment.index.bytes
	Offsets    int64 // from its base offset to its last
}

// GroupSegment is a segment that is compacted, with the size of its indexes.
type GroupSegment struct {
	BaseOffset     int64
	NextOffset     int64 // where the next segment begins
	Size           int64
	IndexBytes     int64
	TimeIndexBytes int64
}

// Group tells which segments become one: as many neighbours as stay within the
// limits together, before anything is left out of them. It returns how many
// there are in each group; a segment that is beyond a limit is one alone.
func Group(segments []GroupSegment, limits GroupLimits) (sizes []int) {
	var size, index, times, base int64
	for _, s := range segments {
		fits := len(sizes) > 0 && size+s.Size <= limits.Bytes && index+s.IndexBytes <= limits.IndexBytes &&
			times+s.TimeIndexBytes <= limits.IndexBytes && (s.Size == 0 || s.NextOffset-1-base <= limits.Offsets)
		if !fits {
			sizes = append(sizes, 0)
			size, index, times, base = 0, 0, 0, s.BaseOffset
		}
		sizes[len(sizes)-1]++
		size, index, times = size+s.Size, index+s.IndexBytes, times+s.TimeIndexBytes
	}
	return sizes
}
