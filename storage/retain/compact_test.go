package retain

import (
	"fmt"
	"slices"
	"testing"
)

// at is a segment of 100 bytes whose newest record has the given time.
func at(base, time int64) Segment {
	return Segment{BaseOffset: base, Size: 100, MaxTimestamp: time, FirstTimestamp: time, LastModified: 1 << 40}
}

func TestCompact(t *testing.T) {
	segments := []Segment{at(0, 1000), at(10, 2000), at(20, 3000), at(30, 4000)}
	old := slices.Clone(segments)
	old[1].MaxTimestamp, old[1].LastModified = -1, 4900
	for name, c := range map[string]struct {
		policy CompactPolicy
		log    Compactable
		want   CompactRange
		due    bool
	}{
		"never compacted: up to the active segment": {
			CompactPolicy{MaxLagMs: 1 << 40}, Compactable{segments, 0, 40, 40, -1},
			CompactRange{FirstDirty: 0, Until: 30, DirtyBytes: 300}, true},
		"partly compacted": {
			CompactPolicy{MaxLagMs: 1 << 40, MinDirtyRatio: 0.5}, Compactable{segments, 0, 40, 40, 20},
			CompactRange{FirstDirty: 20, Until: 30, CleanBytes: 200, DirtyBytes: 100}, false},
		"dirtier than the ratio": {
			CompactPolicy{MaxLagMs: 1 << 40, MinDirtyRatio: 0.5}, Compactable{segments, 0, 40, 40, 10},
			CompactRange{FirstDirty: 10, Until: 30, CleanBytes: 100, DirtyBytes: 200}, true},
		"a pass that ended within a segment": {
			CompactPolicy{MaxLagMs: 1 << 40}, Compactable{segments, 0, 40, 40, 15},
			CompactRange{FirstDirty: 15, Until: 30, CleanBytes: 100, DirtyBytes: 200}, true},
		"all is clean": {
			CompactPolicy{MaxLagMs: 1 << 40}, Compactable{segments, 0, 40, 40, 30},
			CompactRange{FirstDirty: 30, Until: 30, CleanBytes: 300}, false},
		"an open transaction": {
			CompactPolicy{MaxLagMs: 1 << 40}, Compactable{segments, 0, 40, 25, -1},
			CompactRange{FirstDirty: 0, Until: 25, DirtyBytes: 200}, true},
		"an open transaction in the first segment": {
			CompactPolicy{MaxLagMs: 1 << 40}, Compactable{segments, 0, 40, 5, -1},
			CompactRange{FirstDirty: 0, Until: 5}, false},
		"some are too young": {
			CompactPolicy{MaxLagMs: 1 << 40, MinLagMs: 3000}, Compactable{segments, 0, 40, 40, -1},
			CompactRange{FirstDirty: 0, Until: 20, DirtyBytes: 200}, true},
		"without timestamps the file's age counts": {
			CompactPolicy{MaxLagMs: 1 << 40, MinLagMs: 3000}, Compactable{old, 0, 40, 40, -1},
			CompactRange{FirstDirty: 0, Until: 10, DirtyBytes: 100}, true},
		"one is overdue, whatever the ratio": {
			CompactPolicy{MaxLagMs: 2500, MinDirtyRatio: 1}, Compactable{segments, 0, 40, 40, 10},
			CompactRange{FirstDirty: 10, Until: 30, CleanBytes: 100, DirtyBytes: 200, OverdueMs: 500}, true},
		"the start moved beyond": {
			CompactPolicy{MaxLagMs: 1 << 40}, Compactable{segments, 12, 40, 40, 10},
			CompactRange{FirstDirty: 12, Until: 30, CleanBytes: 100, DirtyBytes: 200}, true},
		"the log was cut": {
			CompactPolicy{MaxLagMs: 1 << 40}, Compactable{segments, 0, 40, 40, 41},
			CompactRange{FirstDirty: 0, Until: 30, DirtyBytes: 300}, true},
		"one segment alone": {
			CompactPolicy{}, Compactable{segments[:1], 0, 10, 10, -1}, CompactRange{}, false},
	} {
		got := Compact(c.policy, c.log, 5000)
		if got != c.want || got.Due(c.policy) != c.due {
			t.Errorf("%s: %+v, due %v\nwant %+v, due %v", name, got, got.Due(c.policy), c.want, c.due)
		}
	}
}

func TestGroup(t *testing.T) {
	s := func(base, next, size, index int64) GroupSegment {
		return GroupSegment{BaseOffset: base, NextOffset: next, Size: size, IndexBytes: index, TimeIndexBytes: index / 2}
	}
	limits := GroupLimits{Bytes: 100, IndexBytes: 50, Offsets: 1000}
	for name, c := range map[string]struct {
		segments []GroupSegment
		want     []int
	}{
		"none":                       {nil, nil},
		"small ones become one":      {[]GroupSegment{s(0, 10, 40, 1), s(10, 20, 40, 1), s(20, 30, 20, 1), s(30, 40, 1, 1)}, []int{3, 1}},
		"one beyond the limit":       {[]GroupSegment{s(0, 10, 1000, 1), s(10, 20, 40, 1)}, []int{1, 1}},
		"large indexes":              {[]GroupSegment{s(0, 10, 1, 30), s(10, 20, 1, 30), s(20, 30, 1, 20)}, []int{1, 2}},
		"offsets too far apart":      {[]GroupSegment{s(0, 10, 1, 1), s(10, 1002, 1, 1), s(1002, 1003, 1, 1)}, []int{1, 2}},
		"the last offset that fits":  {[]GroupSegment{s(0, 10, 1, 1), s(10, 1001, 1, 1)}, []int{2}},
		"an empty one goes with any": {[]GroupSegment{s(0, 10, 1, 1), s(10, 5000, 0, 0), s(5000, 5001, 1, 1)}, []int{2, 1}},
		"an empty one at the front":  {[]GroupSegment{s(0, 10, 0, 0), s(10, 20, 5, 1)}, []int{2}},
	} {
		if got := Group(c.segments, limits); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
