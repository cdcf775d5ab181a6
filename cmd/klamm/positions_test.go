package main

import (
	"maps"
	"testing"
)

func TestPositionsAreDoneWhenAllAssignedPartitionsAre(t *testing.T) {
	a, b, c := topicPartition{Topic: "t"}, topicPartition{Topic: "t", Partition: 1}, topicPartition{Topic: "t", Partition: 2}
	p := newPositions(map[topicPartition]span{a: {0, 5}, b: {0, 5}, c: {3, 3}})
	done := func(want bool, when string) {
		t.Helper()
		if p.done() != want {
			t.Errorf("%s: done is %t", when, p.done())
		}
	}
	done(false, "before partitions are assigned")
	p.assign(map[topicPartition]int64{a: 0, b: 5, c: 3})
	done(false, "with one partition to read")
	if want := (map[topicPartition]int64{a: 0}); !maps.Equal(p.behind(), want) {
		t.Errorf("behind %v, want %v", p.behind(), want)
	}
	p.advance(a, 4)
	done(false, "one record before the end")
	p.advance(a, 7)
	done(true, "past the end")
	p.assign(map[topicPartition]int64{b: 2})
	done(false, "with another partition assigned")
	p.revoke(map[string][]int32{"t": {1}})
	p.advance(b, 3)
	done(true, "when that went to another member")
}

func TestPositionsOfAMemberWithoutPartitions(t *testing.T) {
	p := newPositions(map[topicPartition]span{{Topic: "t"}: {0, 5}})
	p.assign(nil)
	if !p.done() {
		t.Error("it has nothing to read, and is not done")
	}
}

func TestPositionsKnowWhatCameLater(t *testing.T) {
	tp := topicPartition{Topic: "t"}
	p := newPositions(map[topicPartition]span{tp: {0, 5}})
	if p.beyond(tp, 4) || !p.beyond(tp, 5) {
		t.Error("the end is 5: 4 was there, 5 came later")
	}
}
