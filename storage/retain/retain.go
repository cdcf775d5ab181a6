// Package retain decides which segments of a log may be deleted. It only
// decides: it reads no clock and touches no file.
package retain

// Policy is what is to be kept.
type Policy struct {
	RetentionMs    int64 // retention.ms; negative: for ever
	RetentionBytes int64 // retention.bytes; negative: without limit
}

// Segment is what is known of one segment.
type Segment struct {
	BaseOffset   int64
	NextOffset   int64 // after its last record
	Size         int64 // bytes
	MaxTimestamp int64 // of its records, milliseconds; negative where they have none
	LastModified int64 // milliseconds; used where the records have no timestamp
}

// Decision is what to do.
type Decision struct {
	Delete int    // how many segments, from the oldest on
	Roll   bool   // the active segment is among them, so a new one is needed first
	Reason string // for the log: why the first of them goes
}

// Decide returns how many of the oldest segments go. The last of segments is the
// active one. A segment goes if it is too old, if the log without it still holds
// retention.bytes, or if it lies wholly below the log's start; but never one that
// holds a record at or above the high watermark, and never one after a segment
// that stays. An empty active segment always stays.
func Decide(p Policy, segments []Segment, logStart, highWatermark, now int64) Decision {
	excess := -int64(1)
	if p.RetentionBytes >= 0 {
		excess = -p.RetentionBytes
		for _, s := range segments {
			excess += s.Size
		}
	}
	var d Decision
	for i, s := range segments {
		last := i == len(segments)-1
		reason := p.reason(s, excess, logStart, now)
		if reason == "" || s.NextOffset > highWatermark || last && s.Size == 0 {
			break
		}
		if last && reason != tooOld {
			break // by size and by the log's start, the active segment stays
		}
		if d.Delete == 0 {
			d.Reason = reason
		}
		d.Delete++
		d.Roll = last
		excess -= s.Size
	}
	return d
}

// Reasons, as logged.
const (
	tooOld     = "older than retention.ms"
	tooMuch    = "the log is larger than retention.bytes"
	belowStart = "its records were deleted"
)

func (p Policy) reason(s Segment, excess, logStart, now int64) string {
	newest := s.MaxTimestamp
	if newest < 0 {
		newest = s.LastModified
	}
	switch {
	case p.RetentionMs >= 0 && now-newest > p.RetentionMs:
		return tooOld
	case p.RetentionBytes >= 0 && excess-s.Size >= 0:
		return tooMuch
	case s.NextOffset <= logStart:
		return belowStart
	}
	return ""
}
