package history

import (
	"strings"
	"testing"

	"github.com/klamm-io/klamm/protocol"
)

const (
	plain      = 1 // a producer that may send a record twice
	idempotent = 2
)

var tp = protocol.TopicPartition{Topic: "t", Partition: 3}

// write tells the checker that the log of tp holds records, as the last reader
// finds them.
func write(c *Checker, records ...Record) {
	for offset, r := range records {
		c.Read("last", tp, int64(offset), r)
	}
	c.Ended(tp, int64(len(records)))
}

// TestCheckerFinds feeds the checker with each thing that a log may not do.
func TestCheckerFinds(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(c *Checker)
		want string
	}{
		{"an acknowledged record lost at the end", func(c *Checker) {
			c.Acked(tp, 1, Record{plain, 1})
			write(c, Record{plain, 0})
		}, "t-3 at offset 1: producer 1's record 1 was acknowledged and is lost, the log ends at 1"},
		{"an acknowledged record lost, and its offset given to another", func(c *Checker) {
			c.Acked(tp, 0, Record{plain, 0})
			write(c, Record{plain, 1})
		}, "t-3 at offset 0: last reads producer 1's record 1, it was producer 1's record 0 before"},
		{"an offset acknowledged twice", func(c *Checker) {
			c.Acked(tp, 0, Record{plain, 0})
			c.Acked(tp, 0, Record{idempotent, 0})
		}, "t-3 at offset 0: its acknowledgement says producer 2's record 0, it was producer 1's record 0 before"},
		{"an acknowledgement without an offset", func(c *Checker) {
			c.Acked(tp, -1, Record{plain, 0})
		}, "producer 1's record 0 was acknowledged in t-3 at offset -1"},
		{"a record read and gone", func(c *Checker) {
			c.Read("early", tp, 0, Record{plain, 0})
			write(c)
		}, "t-3 at offset 0: producer 1's record 0 was read and is gone, the log ends at 0"},
		{"two readers that differ", func(c *Checker) {
			c.Read("early", tp, 0, Record{plain, 0})
			c.Read("late", tp, 0, Record{plain, 1})
		}, "t-3 at offset 0: late reads producer 1's record 1, it was producer 1's record 0 before"},
		{"a reader that misses records", func(c *Checker) {
			c.Read("early", tp, 0, Record{plain, 0})
			c.Read("early", tp, 2, Record{plain, 2})
		}, "early reads t-3 at offset 2, it should go on at 1"},
		{"a reader that goes back", func(c *Checker) {
			c.Seek("early", tp, 5)
			c.Read("early", tp, 5, Record{plain, 0})
			c.Read("early", tp, 5, Record{plain, 0})
		}, "early reads t-3 at offset 5, it should go on at 6"},
		{"a hole", func(c *Checker) {
			c.Seek("last", tp, 1)
			c.Read("last", tp, 1, Record{plain, 0})
			c.Ended(tp, 2)
		}, "t-3 at offset 0: nothing, the log ends at 2"},
		{"a record of an idempotent producer twice", func(c *Checker) {
			write(c, Record{idempotent, 0}, Record{idempotent, 1}, Record{idempotent, 0})
		}, "t-3 at offset 2: producer 2's record 0 is there twice, its producer is idempotent"},
		{"records of an idempotent producer out of order", func(c *Checker) {
			write(c, Record{idempotent, 0}, Record{idempotent, 2}, Record{idempotent, 1})
		}, "t-3 at offset 2: producer 2's record 1 comes after its record 2"},
		{"records of a plain producer out of order", func(c *Checker) {
			write(c, Record{plain, 1}, Record{idempotent, 0}, Record{plain, 0})
		}, "t-3 at offset 2: producer 1's record 0 comes after its record 1"},
		{"a committed offset that goes back", func(c *Checker) {
			c.Confirmed("offset of g", 10)
			c.Looked("offset of g", c.Floor("offset of g"), 9)
		}, "offset of g went back to 9, it was confirmed to be 10"},
		{"a committed offset that nobody committed", func(c *Checker) {
			c.Asked("offset of g", 10)
			c.Looked("offset of g", 0, 11)
		}, "offset of g is 11, nobody asked for more than 10"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := NewChecker(idempotent)
			tt.do(c)
			if got := c.Anomalies(); len(got) != 1 || got[0] != tt.want {
				t.Errorf("the checker found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), tt.want)
			}
		})
	}
}

// TestCheckerAllows feeds the checker with what looks odd and is allowed.
func TestCheckerAllows(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(c *Checker)
	}{
		{"a plain producer that repeats what was not acknowledged", func(c *Checker) {
			c.Acked(tp, 2, Record{plain, 0})
			c.Acked(tp, 3, Record{plain, 1})
			write(c, Record{plain, 0}, Record{plain, 1}, Record{plain, 0}, Record{plain, 1}, Record{plain, 2})
		}},
		{"a record in the log that was not acknowledged", func(c *Checker) {
			write(c, Record{idempotent, 0}, Record{idempotent, 1})
		}},
		{"producers in turn", func(c *Checker) {
			write(c, Record{idempotent, 0}, Record{plain, 0}, Record{idempotent, 1}, Record{plain, 1})
		}},
		{"a reader that begins again", func(c *Checker) {
			c.Read("early", tp, 0, Record{plain, 0})
			c.Seek("early", tp, 0)
			c.Read("early", tp, 0, Record{plain, 0})
		}},
		{"a commit that was not confirmed and happened", func(c *Checker) {
			c.Confirmed("offset of g", 10)
			c.Asked("offset of g", 20)
			c.Looked("offset of g", c.Floor("offset of g"), 20)
		}},
		{"a look that began before a commit was confirmed", func(c *Checker) {
			floor := c.Floor("offset of g")
			c.Confirmed("offset of g", 10)
			c.Looked("offset of g", floor, 0)
		}},
		{"a log that nobody read to its end", func(c *Checker) {
			c.Acked(tp, 7, Record{plain, 0})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := NewChecker(idempotent)
			tt.do(c)
			if got := c.Anomalies(); len(got) != 0 {
				t.Errorf("the checker found\n  %s", strings.Join(got, "\n  "))
			}
		})
	}
}

// TestCheckerBounded sees that a broker that does everything wrong does not fill
// the memory with what is said of it.
func TestCheckerBounded(t *testing.T) {
	c := NewChecker()
	for range 10 * mostAnomalies {
		c.Acked(tp, -1, Record{})
	}
	if got := len(c.Anomalies()); got != mostAnomalies {
		t.Errorf("%d anomalies are kept, want %d", got, mostAnomalies)
	}
}

func TestTally(t *testing.T) {
	c := NewChecker()
	c.Acked(tp, 1, Record{plain, 0})
	c.Read("early", tp, 0, Record{plain, 0})
	c.Confirmed("offset of g", 1)
	if got, want := c.Tally(), (Tally{Records: 2, Acked: 1, Confirmed: 1}); got != want {
		t.Errorf("the tally is %+v, want %+v", got, want)
	}
}
