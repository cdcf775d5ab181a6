package retain_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/storage/retain"
)

const (
	forEver   = -1
	unlimited = -1
)

// three is a log of three segments of ten records and 100 bytes each, whose
// newest records are of the times 1000, 2000 and 3000.
func three() []retain.Segment {
	return []retain.Segment{
		{BaseOffset: 0, NextOffset: 10, Size: 100, MaxTimestamp: 1000, LastModified: 1},
		{BaseOffset: 10, NextOffset: 20, Size: 100, MaxTimestamp: 2000, LastModified: 1},
		{BaseOffset: 20, NextOffset: 30, Size: 100, MaxTimestamp: 3000, LastModified: 1},
	}
}

func TestDecide(t *testing.T) {
	const (
		deleted = "its records were deleted"
		tooMuch = "the log is larger than retention.bytes"
		tooOld  = "older than retention.ms"
	)
	all := func(change ...func([]retain.Segment)) []retain.Segment {
		s := three()
		for _, c := range change {
			c(s)
		}
		return s
	}
	noTimestamp := func(i int, modified int64) func([]retain.Segment) {
		return func(s []retain.Segment) { s[i].MaxTimestamp, s[i].LastModified = -1, modified }
	}
	for _, c := range []struct {
		name     string
		ms, size int64
		segments []retain.Segment
		start    int64
		hw       int64
		now      int64
		want     retain.Decision
	}{
		{"nothing limits", forEver, unlimited, all(), 0, 30, 1 << 50, retain.Decision{}},
		{"no segment", 0, 0, nil, 0, 0, 1 << 50, retain.Decision{}},

		{"time: just not over", 500, unlimited, all(), 0, 30, 1500, retain.Decision{}},
		{"time: just over", 500, unlimited, all(), 0, 30, 1501, retain.Decision{Delete: 1, Reason: tooOld}},
		{"time: two", 500, unlimited, all(), 0, 30, 2501, retain.Decision{Delete: 2, Reason: tooOld}},
		{"time: all, so roll", 500, unlimited, all(), 0, 30, 3501, retain.Decision{Delete: 3, Roll: true, Reason: tooOld}},
		{"time: zero keeps what is of now", 0, unlimited, all(), 0, 30, 1000, retain.Decision{}},
		{"time: an old one after a young one stays", 500, unlimited,
			all(func(s []retain.Segment) { s[0].MaxTimestamp = 9000 }), 0, 30, 5000, retain.Decision{}},
		{"time: a timestamp in the future stays", 500, unlimited,
			all(func(s []retain.Segment) { s[0].MaxTimestamp = math.MaxInt64 }), 0, 30, 5000, retain.Decision{}},
		{"time: the file's own where records have none", 500, unlimited, all(noTimestamp(0, 1000)), 0, 30, 1501, retain.Decision{Delete: 1, Reason: tooOld}},
		{"time: the file's own, young", 500, unlimited, all(noTimestamp(0, 1400)), 0, 30, 1501, retain.Decision{}},
		{"time: the epoch itself is a timestamp", 500, unlimited,
			all(func(s []retain.Segment) { s[0].MaxTimestamp, s[0].LastModified = 0, 5000 }), 0, 30, 501, retain.Decision{Delete: 1, Reason: tooOld}},

		{"size: one byte short", forEver, 201, all(), 0, 30, 0, retain.Decision{}},
		{"size: what stays is exactly the limit", forEver, 200, all(), 0, 30, 0, retain.Decision{Delete: 1, Reason: tooMuch}},
		{"size: two", forEver, 100, all(), 0, 30, 0, retain.Decision{Delete: 2, Reason: tooMuch}},
		{"size: below the limit", forEver, 1000, all(), 0, 30, 0, retain.Decision{}},
		{"size: zero takes the active one too", forEver, 0, all(), 0, 30, 0, retain.Decision{Delete: 3, Roll: true, Reason: tooMuch}},
		{"size: a large first segment keeps small ones", forEver, 150,
			all(func(s []retain.Segment) { s[0].Size = 1000 }), 0, 30, 0, retain.Decision{Delete: 1, Reason: tooMuch}},
		{"size: a segment larger than the excess stays", forEver, 1000,
			all(func(s []retain.Segment) { s[0].Size = 1000 }), 0, 30, 0, retain.Decision{}},

		{"start: inside the first", forEver, unlimited, all(), 9, 30, 0, retain.Decision{}},
		{"start: at the second", forEver, unlimited, all(), 10, 30, 0, retain.Decision{Delete: 1, Reason: deleted}},
		{"start: at the third", forEver, unlimited, all(), 20, 30, 0, retain.Decision{Delete: 2, Reason: deleted}},
		{"start: at the end, the active one stays", forEver, unlimited, all(), 30, 30, 0, retain.Decision{Delete: 2, Reason: deleted}},
		{"start: the next begins beyond a compacted end", forEver, unlimited,
			all(func(s []retain.Segment) { s[0].NextOffset = 5 }), 5, 30, 0, retain.Decision{}},

		{"high watermark: inside the first", 0, 0, all(), 30, 9, 1 << 50, retain.Decision{}},
		{"high watermark: at the second", 0, 0, all(), 30, 10, 1 << 50, retain.Decision{Delete: 1, Reason: deleted}},
		{"high watermark: inside the active one", 0, unlimited, all(), 0, 29, 1 << 50, retain.Decision{Delete: 2, Reason: tooOld}},

		{"an empty active segment stays", 0, 0,
			all(func(s []retain.Segment) { s[2].Size, s[2].NextOffset, s[2].MaxTimestamp = 0, 20, -1 }), 0, 20, 1 << 50, retain.Decision{Delete: 2, Reason: tooMuch}},
		{"a log that is one empty segment", 0, 0, []retain.Segment{{MaxTimestamp: -1}}, 0, 0, 1 << 50, retain.Decision{}},
		{"a log that is one segment", 0, unlimited, three()[:1], 0, 10, 1 << 50, retain.Decision{Delete: 1, Roll: true, Reason: tooOld}},
		{"for different reasons", 500, 150, all(), 10, 30, 2501, retain.Decision{Delete: 2, Reason: deleted + "; " + tooOld}},
		{"what was deleted counts no more for the size", forEver, 200, all(), 10, 30, 0, retain.Decision{Delete: 1, Reason: deleted}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := retain.Decide(retain.Policy{RetentionMs: c.ms, RetentionBytes: c.size}, c.segments, c.start, c.hw, c.now)
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// Kafka decides in three passes: first by the log's start, then by size, then by
// time, each on what the one before left. One pass for all must come to the same.
func TestDecideAsThreePasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segments := drawSegments(t)
		policy := retain.Policy{RetentionMs: rapid.Int64Range(-1, 20).Draw(t, "ms"), RetentionBytes: rapid.Int64Range(-1, 30).Draw(t, "bytes")}
		start, hw := rapid.Int64Range(0, 30).Draw(t, "start"), rapid.Int64Range(0, 30).Draw(t, "hw")
		const now = 20
		want := 0
		for _, pass := range []retain.Policy{{-1, -1}, {-1, policy.RetentionBytes}, {policy.RetentionMs, -1}} {
			passStart := start
			if pass != (retain.Policy{RetentionMs: -1, RetentionBytes: -1}) {
				passStart = 0
			}
			want += retain.Decide(pass, segments[want:], passStart, hw, now).Delete
			if want == len(segments) {
				break
			}
		}
		if got := retain.Decide(policy, segments, start, hw, now); got.Delete != want || got.Roll != (want == len(segments)) {
			t.Fatalf("got %+v, three passes delete %d of %d", got, want, len(segments))
		}
	})
}

func drawSegments(t *rapid.T) []retain.Segment {
	segments := make([]retain.Segment, rapid.IntRange(1, 5).Draw(t, "segments"))
	next := int64(0)
	for i := range segments {
		s := retain.Segment{
			BaseOffset:   next,
			NextOffset:   next + rapid.Int64Range(1, 5).Draw(t, "records"),
			Size:         rapid.Int64Range(1, 10).Draw(t, "size"),
			MaxTimestamp: rapid.Int64Range(-1, 20).Draw(t, "timestamp"),
			LastModified: rapid.Int64Range(0, 20).Draw(t, "modified"),
		}
		next = s.NextOffset
		segments[i] = s
	}
	return segments
}
