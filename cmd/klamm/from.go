package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// startKind says how a startPoint is meant.
type startKind int

const (
	startBeginning startKind = iota
	startEnd
	startOffset // at offset n
	startBefore // n records before the end
	startTime   // at the first record of that time or later
)

// startPoint is where reading begins in each partition.
type startPoint struct {
	kind startKind
	n    int64
	time time.Time
}

// parseStart reads beginning, end, an offset, -N, or a time; beginning and end
// also by the names that Kafka and rpk have for them.
func parseStart(text string) (startPoint, error) {
	switch text {
	case "beginning", "earliest", "start":
		return startPoint{kind: startBeginning}, nil
	case "end", "latest":
		return startPoint{kind: startEnd}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if strings.HasPrefix(text, "-") {
			return startPoint{kind: startBefore, n: -n}, nil
		}
		return startPoint{kind: startOffset, n: n}, nil
	}
	at, err := parseTime(text)
	if err != nil {
		return startPoint{}, fmt.Errorf("%q is no place to begin: it is beginning, end, an offset, -N for the last N, "+
			"a time such as 2013-01-01T10:00:00Z, or @ and Unix milliseconds", text)
	}
	return startPoint{kind: startTime, time: at}, nil
}

// timeLayouts are RFC 3339 and what is left of it without zone, then UTC, and
// without time of day, then midnight.
var timeLayouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02"}

// parseTime reads a time as people write it, or @ and Unix milliseconds as kcat
// has it.
func parseTime(text string) (time.Time, error) {
	if ms, found := strings.CutPrefix(text, "@"); found {
		if n, err := strconv.ParseInt(ms, 10, 64); err == nil {
			return time.UnixMilli(n), nil
		}
	}
	for _, layout := range timeLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, errors.New("no time")
}

// span is what a partition holds: from the offset of its first record to the
// one that comes after its last.
type span struct{ start, end int64 }

// offset is where to begin in a partition; timed is the offset of the first
// record of the time asked for. An offset outside of the partition becomes the
// nearest one inside.
func (s startPoint) offset(held span, timed int64) int64 {
	at := held.start
	switch s.kind {
	case startEnd:
		at = held.end
	case startOffset:
		at = s.n
	case startBefore:
		at = held.end - s.n
	case startTime:
		at = timed
	}
	return min(max(at, held.start), held.end)
}

// spans asks what the partitions of topics hold; where only committed records
// are read, up to the first transaction that is open.
func spans(ctx context.Context, admin *kadm.Client, committedOnly bool, topics ...string) (map[topicPartition]span, error) {
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ask for first offsets: %s", reason(err, ""))
	}
	listEnds := admin.ListEndOffsets
	if committedOnly {
		listEnds = admin.ListCommittedOffsets
	}
	ends, err := listEnds(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ask for end offsets: %s", reason(err, ""))
	}
	held := map[topicPartition]span{}
	starts.Each(func(o kadm.ListedOffset) {
		end, _ := ends.Lookup(o.Topic, o.Partition)
		held[topicPartition{Topic: o.Topic, Partition: o.Partition}] = span{o.Offset, end.Offset}
	})
	return held, nil
}

// resolve turns the start point into an offset for each partition.
func (s startPoint) resolve(ctx context.Context, admin *kadm.Client, held map[topicPartition]span, topics ...string) (map[topicPartition]int64, error) {
	var timed kadm.ListedOffsets
	if s.kind == startTime {
		var err error
		if timed, err = admin.ListOffsetsAfterMilli(ctx, s.time.UnixMilli(), topics...); err == nil {
			err = timed.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("ask for offsets by time: %s", reason(err, ""))
		}
	}
	offsets := map[topicPartition]int64{}
	for tp, span := range held {
		at, _ := timed.Lookup(tp.Topic, tp.Partition)
		offsets[tp] = s.offset(span, at.Offset)
	}
	return offsets, nil
}
