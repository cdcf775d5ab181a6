// Package retain decides what of a log stays: which segments retention deletes
// (retain.go), when which part of it is compacted (compact.go), and which of its
// batches and records compaction keeps (keep.go), which it knows by an
// [OffsetMap] and by the transactions that it saw. It only decides: it reads no
// clock and touches no file.
package retain

import (
	"slices"
	"strings"
)

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

	FirstTimestamp int64 // largest of the first batch, milliseconds; negative where not known. Compaction alone asks for it.
}

// Decision is what to do.
type Decision struct {
	Delete int    // how many segments, from the oldest on
	Roll   bool   // the active segment is among them, so a new one is needed first
	Reason string // for people: why they go
}

// Decide returns how many of the oldest segments go. The last of segments is the
// active one. A segment goes if it lies wholly below the log's start, if the log
// without it still holds retention.bytes, or if its newest record is older than
// retention.ms; but never one that holds a record at or above the high
// watermark, and never one after a segment that stays.
//
// The active segment stays where it is empty: to delete it would gain nothing.
// It stays too where the log's start is its only reason, since what is appended
// next will be read from it.
func Decide(p Policy, segments []Segment, logStart, highWatermark, now int64) Decision {
	var reasons []string
	d, excess := Decision{}, p.excess(segments)
	for i, s := range segments {
		active, end := i == len(segments)-1, s.NextOffset
		if !active {
			end = segments[i+1].BaseOffset // also where the last records were compacted away
		}
		reason := p.reason(s, end <= logStart && !active, excess, now)
		if reason == "" || end > highWatermark || active && s.Size == 0 {
			break
		}
		if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
		d.Delete, d.Roll = i+1, active
		excess -= s.Size
	}
	d.Reason = strings.Join(reasons, "; ")
	return d
}

// excess is by how many bytes the log is too large, negative where it is not.
func (p Policy) excess(segments []Segment) int64 {
	if p.RetentionBytes < 0 {
		return -1
	}
	excess := -p.RetentionBytes
	for _, s := range segments {
		excess += s.Size
	}
	return excess
}

// Reasons, as logged.
const (
	belowStart = "its records were deleted"
	tooMuch    = "the log is larger than retention.bytes"
	tooOld     = "older than retention.ms"
)

// reason returns why a segment goes, and "" if it stays.
func (p Policy) reason(s Segment, deleted bool, excess, now int64) string {
	switch {
	case deleted:
		return belowStart
	case p.RetentionBytes >= 0 && excess-s.Size >= 0:
		return tooMuch
	case p.RetentionMs >= 0 && now-s.newest() > p.RetentionMs:
		return tooOld
	}
	return ""
}
