package group

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/klamm-io/klamm/coordinator/assign"
)

// The values of a consumer group's records are in the flexible form: lengths are
// varints of one more, and tagged fields stand at the end of each struct.

// valueReader reads a value, and takes no memory for elements that cannot be
// there.
type valueReader struct{ kbin.Reader }

// elements reads how many follow, each of at least size bytes; -1 for null.
func (r *valueReader) elements(size int) int {
	n := int(r.CompactArrayLen())
	if n > len(r.Src)/size {
		r.fail()
		return 0
	}
	return n
}

// fail makes Complete fail.
func (r *valueReader) fail() { r.Src = nil; r.Int8() }

// tags reads tagged fields. Those that known does not take are left out, as they
// are a newer version's.
func (r *valueReader) tags(known func(tag uint32, value *valueReader)) {
	for n := r.Uvarint(); n > 0 && r.Ok(); n-- {
		tag, size := r.Uvarint(), r.Uvarint()
		value := r.Span(int(size))
		if known != nil && r.Ok() {
			inner := &valueReader{kbin.Reader{Src: value}}
			if known(tag, inner); !inner.Ok() {
				r.fail()
			}
		}
	}
}

func (r *valueReader) strings() []string {
	n := max(0, r.elements(1))
	all := make([]string, 0, n)
	for range n {
		all = append(all, r.CompactString())
	}
	return all
}

func (r *valueReader) ints() []int32 {
	n := max(0, r.elements(4))
	all := make([]int32, 0, n)
	for range n {
		all = append(all, r.Int32())
	}
	return all
}

func appendTag(dst []byte, tag uint32, value []byte) []byte {
	dst = kbin.AppendUvarint(dst, tag)
	dst = kbin.AppendUvarint(dst, uint32(len(value)))
	return append(dst, value...)
}

// appendTagged64 appends the only tagged field of a struct, which stands where it
// is not zero.
func appendTagged64(dst []byte, v int64) []byte {
	if v == 0 {
		return append(dst, 0)
	}
	return appendTag(append(dst, 1), 0, binary.BigEndian.AppendUint64(nil, uint64(v)))
}

func (r *valueReader) tagged64() (v int64) {
	r.tags(func(tag uint32, value *valueReader) {
		if tag == 0 {
			v = value.Int64()
		}
	})
	return v
}

func appendInts(dst []byte, all []int32) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(all))
	for _, v := range all {
		dst = kbin.AppendInt32(dst, v)
	}
	return dst
}

func appendStrings(dst []byte, all []string) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(all))
	for _, s := range all {
		dst = kbin.AppendCompactString(dst, s)
	}
	return dst
}

// minTopic is the least that a topic with its partitions takes.
const minTopic = 16 + 1 + 1

func appendPartitions(dst []byte, p assign.Partitions) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(p))
	for _, topic := range sortedTopics(p) {
		dst = append(dst, topic[:]...)
		dst = append(appendInts(dst, p[topic]), 0)
	}
	return dst
}

func (r *valueReader) partitions() assign.Partitions {
	p := assign.Partitions{}
	for range max(0, r.elements(minTopic)) {
		topic := r.Uuid()
		list := r.ints()
		slices.Sort(list)
		if list = slices.Compact(list); len(list) > 0 {
			p[topic] = list
		}
		r.tags(nil)
	}
	return p
}

func appendHeld(dst []byte, h held) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(h))
	for _, topic := range sortedTopics(h) {
		list := slices.Sorted(maps.Keys(h[topic]))
		var epochs []int32
		for _, p := range list {
			epochs = append(epochs, h[topic][p])
		}
		dst = append(dst, topic[:]...)
		dst = append(appendInts(dst, list), 1)
		dst = appendTag(dst, 0, appendInts(nil, epochs))
	}
	return dst
}

// held reads partitions with their epochs; where there are none, as before Kafka
// 4.3, the member's own counts.
func (r *valueReader) held(epoch int32) held {
	h := held{}
	for range max(0, r.elements(minTopic)) {
		topic := r.Uuid()
		list := r.ints()
		var epochs []int32
		r.tags(func(tag uint32, value *valueReader) {
			if tag == 0 {
				epochs = value.ints()
			}
		})
		for i, p := range list {
			if len(epochs) == len(list) {
				h.put(topic, p, epochs[i])
			} else {
				h.put(topic, p, epoch)
			}
		}
	}
	return h
}
