package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/klamm-io/klamm/protocol"
)

// Record names a record: the Seq-th, from 0, that its producer sent to the
// partition it lies in.
type Record struct {
	Producer int
	Seq      int64
}

func (r Record) String() string { return fmt.Sprintf("producer %d's record %d", r.Producer, r.Seq) }

// Checker is told what clients saw, and finds what a log may not do:
//
//   - an acknowledged record is not in the log, or not where its producer was
//     told, or a record that a consumer read is gone;
//   - an offset holds one record for one reader and another for the next;
//   - a reader that goes on from offset to offset misses some;
//   - a record of an idempotent producer is there twice;
//   - records of one producer in one partition are not in the order in which
//     they were sent;
//   - a value that only grows, such as a committed offset, goes back.
//
// It is safe for concurrent use.
type Checker struct {
	mu sync.Mutex
	// Guarded by mu.
	idempotent map[int]bool
	logs       map[protocol.TopicPartition]*history
	readers    map[readerAt]int64 // the offset that comes next
	registers  map[string]register
	anomalies  []string
}

// history is what is known of a partition's log.
type history struct {
	records []seen // by offset
	final   int64  // where the log ends, once that is known
}

// seen is who saw a record at an offset.
type seen struct {
	record Record
	known  bool
	acked  bool
}

type readerAt struct {
	reader string
	protocol.TopicPartition
}

// register is a value that only grows.
type register struct{ confirmed, asked int64 }

// NewChecker returns a checker that has been told nothing. A record of the
// producers that are named as idempotent may be in a log only once.
func NewChecker(idempotent ...int) *Checker {
	c := &Checker{
		idempotent: map[int]bool{},
		logs:       map[protocol.TopicPartition]*history{},
		readers:    map[readerAt]int64{},
		registers:  map[string]register{},
	}
	for _, producer := range idempotent {
		c.idempotent[producer] = true
	}
	return c
}

// mostAnomalies bounds what is kept of a broker that does everything wrong.
const mostAnomalies = 100

// found notes an anomaly. The caller holds mu.
func (c *Checker) found(format string, args ...any) {
	if len(c.anomalies) < mostAnomalies {
		c.anomalies = append(c.anomalies, fmt.Sprintf(format, args...))
	}
}

// Acked says that a producer was told that r is at offset.
func (c *Checker) Acked(tp protocol.TopicPartition, offset int64, r Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if offset < 0 {
		c.found("%s was acknowledged in %s at offset %d", r, tp, offset)
		return
	}
	c.observe(tp, offset, r, "its acknowledgement says").acked = true
}

// Read says that a reader, which reads on from the record it read before, was
// given r at offset.
func (c *Checker) Read(reader string, tp protocol.TopicPartition, offset int64, r Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := readerAt{reader, tp}
	if next := c.readers[at]; offset != next {
		c.found("%s reads %s at offset %d, it should go on at %d", reader, tp, offset, next)
	}
	c.readers[at] = offset + 1
	c.observe(tp, offset, r, reader+" reads")
}

// Seek says that a reader goes on at offset, whatever it read before.
func (c *Checker) Seek(reader string, tp protocol.TopicPartition, offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readers[readerAt{reader, tp}] = offset
}

// observe notes that r is at offset. The caller holds mu.
func (c *Checker) observe(tp protocol.TopicPartition, offset int64, r Record, who string) *seen {
	h := c.log(tp)
	for int64(len(h.records)) <= offset {
		h.records = append(h.records, seen{})
	}
	at := &h.records[offset]
	if at.known && at.record != r {
		c.found("%s at offset %d: %s %s, it was %s before", tp, offset, who, r, at.record)
	}
	at.record, at.known = r, true
	return at
}

func (c *Checker) log(tp protocol.TopicPartition) *history {
	h := c.logs[tp]
	if h == nil {
		h = &history{final: -1}
		c.logs[tp] = h
	}
	return h
}

// Ended says that the log of tp was read whole, from offset 0 to end, after all
// else had come to rest.
func (c *Checker) Ended(tp protocol.TopicPartition, end int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log(tp).final = end
}

// Asked says that the register, a value that only grows, is about to be set to
// value. It may happen or not, until Confirmed says so.
func (c *Checker) Asked(name string, value int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.registers[name]
	r.asked = max(r.asked, value)
	c.registers[name] = r
}

// Confirmed says that the register was set to value.
func (c *Checker) Confirmed(name string, value int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.registers[name]
	r.confirmed = max(r.confirmed, value)
	r.asked = max(r.asked, value)
	c.registers[name] = r
}

// Floor returns what the register must hold at least, for Looked.
func (c *Checker) Floor(name string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.registers[name].confirmed
}

// Looked says that the register was found to be value by somebody who began to
// look when its floor was floor.
func (c *Checker) Looked(name string, floor, value int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch asked := c.registers[name].asked; {
	case value < floor:
		c.found("%s went back to %d, it was confirmed to be %d", name, value, floor)
	case value > asked:
		c.found("%s is %d, nobody asked for more than %d", name, value, asked)
	}
}

// Tally counts what the checker was told.
type Tally struct {
	Records   int // offsets at which a record is known
	Acked     int
	Confirmed int // registers that were set
}

// Tally says how much was checked: a check of nothing proves nothing.
func (c *Checker) Tally() Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	var t Tally
	for _, h := range c.logs {
		for _, at := range h.records {
			if at.known {
				t.Records++
			}
			if at.acked {
				t.Acked++
			}
		}
	}
	for _, r := range c.registers {
		if r.confirmed > 0 {
			t.Confirmed++
		}
	}
	return t
}

// Anomalies returns all that was found so far, among them what is wrong with the
// logs that were read to their end.
func (c *Checker) Anomalies() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.anomalies
	defer func() { c.anomalies = before }()
	c.anomalies = slices.Clone(before)
	for _, tp := range slices.SortedFunc(maps.Keys(c.logs), byName) {
		h := c.logs[tp]
		if h.final >= 0 {
			c.checkEnd(tp, h)
			c.checkOrder(tp, h)
		}
	}
	return c.anomalies
}

func byName(a, b protocol.TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// checkEnd finds what was seen beyond the end of the log, and offsets below it
// that hold nothing.
func (c *Checker) checkEnd(tp protocol.TopicPartition, h *history) {
	for offset, at := range h.records {
		beyond := int64(offset) >= h.final
		switch {
		case beyond && at.acked:
			c.found("%s at offset %d: %s was acknowledged and is lost, the log ends at %d", tp, offset, at.record, h.final)
		case beyond && at.known:
			c.found("%s at offset %d: %s was read and is gone, the log ends at %d", tp, offset, at.record, h.final)
		case !beyond && !at.known:
			c.found("%s at offset %d: nothing, the log ends at %d", tp, offset, h.final)
		}
	}
}

// checkOrder finds records that come twice or too late. A producer that is not
// idempotent may send a record again, and all that came after it: only what is
// there for the first time is in order.
func (c *Checker) checkOrder(tp protocol.TopicPartition, h *history) {
	next := map[int]int64{} // by producer: one more than the largest Seq so far
	skipped := map[Record]bool{}
	for offset, at := range h.records[:min(h.final, int64(len(h.records)))] {
		r, expected := at.record, next[at.record.Producer]
		switch {
		case !at.known:
		case r.Seq >= expected:
			for seq := expected; seq < r.Seq; seq++ {
				skipped[Record{r.Producer, seq}] = true
			}
			next[r.Producer] = r.Seq + 1
		case skipped[r]:
			c.found("%s at offset %d: %s comes after its record %d", tp, offset, r, expected-1)
			delete(skipped, r)
		case c.idempotent[r.Producer]:
			c.found("%s at offset %d: %s is there twice, its producer is idempotent", tp, offset, r)
		}
	}
}
