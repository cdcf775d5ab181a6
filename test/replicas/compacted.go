package replicas

import (
	"fmt"
	"maps"
	"slices"

	"github.com/klamm-io/klamm/protocol/record"
)

// unpackLimit bounds one batch's records, in bytes.
const unpackLimit = 64 << 20

// entry is one record.
type entry struct {
	offset     int64
	key, value string
	null       bool // the value is: the key is deleted
}

// SameCompacted returns how replicas of a compacted log differ from the first one.
func SameCompacted(replicas []Replica) (differences []string, err error) {
	first, err := replicas[0].contents()
	if err != nil {
		return nil, err
	}
	for _, r := range replicas[1:] {
		other, err := r.contents()
		if err != nil {
			return nil, err
		}
		differences = append(differences, first.differ(other, replicas[0].Name, r.Name)...)
	}
	return differences, nil
}

// contents is what a compacted log holds.
type contents struct {
	all  map[int64]entry  // by offset, those of aborted transactions too
	last map[string]entry // the last committed one of each key
}

func (r Replica) contents() (contents, error) {
	c := contents{all: map[int64]entry{}, last: map[string]entry{}}
	open := map[int64][]entry{} // by producer id, what its transaction wrote so far
	var scratch record.Scratch
	for _, b := range r.batches {
		err := b.Each(&scratch, unpackLimit, func(rec *record.Record) error {
			e := entry{b.BaseOffset() + int64(rec.OffsetDelta), string(rec.Key), string(rec.Value), rec.Value == nil}
			c.all[e.offset] = e
			switch {
			case b.Attributes().Control():
				if _, kind, ok := record.ControlType(rec.Key); ok && kind == record.ControlCommit {
					c.commit(open[b.ProducerID()]...)
				}
				delete(open, b.ProducerID())
			case b.Attributes().Transactional():
				open[b.ProducerID()] = append(open[b.ProducerID()], e)
			default:
				c.commit(e)
			}
			return nil
		})
		if err != nil {
			return c, fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	return c, nil
}

func (c contents) commit(entries ...entry) {
	for _, e := range entries {
		if e.offset >= c.last[e.key].offset {
			c.last[e.key] = e
		}
	}
}

// differ compares what both hold, and the last record of each key unless it says
// that the key is deleted: that goes one day.
func (c contents) differ(other contents, name, otherName string) (differences []string) {
	for _, offset := range slices.Sorted(maps.Keys(c.all)) {
		if e, both := other.all[offset]; both && e != c.all[offset] {
			differences = append(differences, fmt.Sprintf("%s has %v, %s has %v", name, c.all[offset], otherName, e))
		}
	}
	differences = append(differences, c.lacks(other, name, otherName)...)
	return append(differences, other.lacks(c, otherName, name)...)
}

// lacks names what is the last record of its key elsewhere and not here.
func (c contents) lacks(other contents, name, otherName string) (differences []string) {
	for _, key := range slices.Sorted(maps.Keys(other.last)) {
		if e := other.last[key]; !e.null && c.last[key] != e {
			differences = append(differences, fmt.Sprintf("%s has %v as the last of its key, %s has %v", otherName, e, name, c.last[key]))
		}
	}
	return differences
}
