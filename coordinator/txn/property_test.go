package txn

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/log"
)

// outcome is what a producer knows of one of its transactions.
type outcome int

const (
	open outcome = iota
	unknown
	committed
	aborted
)

// scribe is a transactional producer that does what clients do: it repeats what it
// got no answer to, an old one on a new connection, and begins anew after an error.
type scribe struct {
	*world
	id         string
	version    int16
	connection uint64

	producer Producer // None before it has one
	name     string   // of the transaction that it is in, empty for none
	ending   bool     // it asked for the end, and knows no answer
	commit   bool     // what it asked for
	sequence [worldPartitions]int32
	joined   [worldPartitions]bool // partitions that an old client has added to the transaction

	transactions map[string]outcome
	written      map[string]int // records by transaction
}

var connections uint64 // of all scribes, in their order

func (s *scribe) reconnect() {
	connections++
	s.connection = connections
}

func (s *scribe) request() Request {
	return Request{TransactionalID: s.id, Producer: s.producer, Version: s.version, Connection: s.connection}
}

// perhapsLate lets a request come a second time, whenever. On one connection
// requests keep their order: that of an old client comes late only when the client
// has left its connection.
func (s *scribe) perhapsLate(send func(r Request, to step.Ticket) step.Output) {
	r := s.request()
	if !rapid.Bool().Draw(s.t, "twice") {
		return
	}
	s.late = append(s.late, func() {
		if s.version >= 2 || r.Connection < s.connection {
			s.do(send(r, func(Answer) {}))
		}
	})
}

// begin gets a producer, which ends what the one before had open.
func (s *scribe) begin() {
	fresh := int64(len(s.records) + 1000) // any number that was not used before
	a, answered := s.ask(func(to step.Ticket) step.Output {
		return s.machine.InitProducerID(Request{TransactionalID: s.id, Producer: None}, time.Minute, fresh, to, s.now)
	})
	if s.name != "" {
		s.know(unknown)
	}
	s.producer, s.ending = None, false
	if answered && a.Err == nil {
		s.producer, s.sequence = a.Producer, [worldPartitions]int32{}
		s.reconnect()
	}
}

// know ends the present transaction for the producer.
func (s *scribe) know(o outcome) {
	s.transactions[s.name] = o
	s.name = ""
}

func (s *scribe) broken() {
	if s.name != "" {
		s.know(unknown)
	}
	s.producer, s.ending = None, false
}

// write writes a record into the transaction, which begins with it.
func (s *scribe) write(p int) {
	if s.producer == None || s.ending {
		return
	}
	if s.name == "" {
		s.name = fmt.Sprintf("%s/%d", s.id, len(s.transactions))
		s.transactions[s.name], s.joined = open, [worldPartitions]bool{}
	}
	number := s.logs[p].BeginVerification(s.producer.ID, s.producer.Epoch, s.now.UnixMilli())
	if !s.mayWrite(p, number) {
		return
	}
	b := record.NewBuilder()
	b.Transactional, b.ProducerID, b.ProducerEpoch, b.BaseSequence = true, s.producer.ID, s.producer.Epoch, s.sequence[p]
	b.Append(s.now.UnixMilli(), nil, []byte(s.name))
	batch, err := b.Build(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.logs[p].Append(batch, log.AppendOptions{Now: s.now, Verification: number}); err != nil {
		s.broken()
		return
	}
	s.sequence[p]++
	s.written[s.name]++
}

// mayWrite takes the partition into the transaction where that is due: an old
// client once in each transaction, the broker of a new one where it is not open.
func (s *scribe) mayWrite(p int, number uint64) bool {
	if number == 0 && (s.version >= 2 || s.joined[p]) {
		return true
	}
	s.joined[p] = s.join(p)
	return s.joined[p]
}

// join takes a partition into the transaction. An old client asks for it, and then
// the broker verifies; for a new one the broker asks.
func (s *scribe) join(p int) bool {
	partitions := []protocol.TopicPartition{place(p)}
	add := func(r Request, to step.Ticket) step.Output {
		return s.machine.AddPartitions(r, partitions, to, s.now, s.now)
	}
	s.perhapsLate(add)
	a, answered := s.ask(func(to step.Ticket) step.Output { return add(s.request(), to) })
	switch {
	case answered && errors.Is(a.Err, kerr.ConcurrentTransactions):
		return false // it is tried again later
	case answered && errors.Is(a.Err, ErrStaleConnection):
		s.reconnect()
		return false
	}
	if answered && a.Err == nil && s.version < 2 {
		a, answered = s.ask(func(to step.Ticket) step.Output {
			return s.machine.Verify(Request{TransactionalID: s.id, Producer: s.producer}, partitions, to)
		})
		answered = answered && len(a.Missing) == 0
	}
	if !answered || a.Err != nil {
		s.broken()
		return false
	}
	return true
}

// end asks for the end of the transaction, or asks again.
func (s *scribe) end(commit bool) {
	if s.producer == None || s.name == "" || s.written[s.name] == 0 && !s.ending {
		return
	}
	if s.ending {
		commit = s.commit
		s.reconnect()
	}
	s.ending, s.commit = true, commit
	send := func(r Request, to step.Ticket) step.Output { return s.machine.End(r, commit, 1, to, s.now) }
	s.perhapsLate(send)
	a, answered := s.ask(func(to step.Ticket) step.Output { return send(s.request(), to) })
	switch {
	case !answered || errors.Is(a.Err, kerr.ConcurrentTransactions):
		return
	case errors.Is(a.Err, ErrStaleConnection):
		return // it connects anew and asks again
	case a.Err != nil:
		s.broken()
		return
	case s.version >= 2:
		s.producer, s.sequence = a.Producer, [worldPartitions]int32{}
	}
	s.ending = false
	if commit {
		s.know(committed)
	} else {
		s.know(aborted)
	}
}

// whole checks that readers of committed records get a transaction wholly or not at
// all, as its producer was told, and nothing of one that is open.
func (s *scribe) whole(final bool) {
	seen := map[string]int{}
	for p := range worldPartitions {
		for _, name := range s.visible(p) {
			if strings.HasPrefix(name, s.id+"/") {
				seen[name]++
			}
		}
	}
	for name, o := range s.transactions {
		switch n, all := seen[name], s.written[name]; {
		case o == open && n > 0 && !s.ending:
			s.t.Fatalf("readers get %d records of %s, which is open", n, name)
		case o == aborted && n > 0:
			s.t.Fatalf("readers get %d records of %s, which was aborted", n, name)
		case final && o == committed && n != all:
			s.t.Fatalf("readers get %d records of %s, %d were committed", n, name, all)
		case final && n != 0 && n != all:
			s.t.Fatalf("readers get %d records of %s, which has %d", n, name, all)
		}
	}
}

// TestTransactionsAreWhole: whatever comes late, twice or not at all, and whenever
// the coordinator crashes, readers of committed records get every transaction that
// was committed, wholly, and nothing of any other.
func TestTransactionsAreWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		scribes := []*scribe{}
		for id, version := range map[string]int16{"new": 2, "old": 0} {
			s := &scribe{world: w, id: id, version: version, producer: None, transactions: map[string]outcome{}, written: map[string]int{}}
			scribes = append(scribes, s)
		}
		if scribes[0].id > scribes[1].id { // the same order in each run
			scribes[0], scribes[1] = scribes[1], scribes[0]
		}
		pick := func() *scribe { return scribes[rapid.IntRange(0, 1).Draw(t, "scribe")] }
		t.Repeat(map[string]func(*rapid.T){
			"write":   func(t *rapid.T) { pick().write(rapid.IntRange(0, worldPartitions-1).Draw(t, "partition")) },
			"more":    func(t *rapid.T) { pick().write(rapid.IntRange(0, worldPartitions-1).Draw(t, "partition")) },
			"end":     func(t *rapid.T) { pick().end(rapid.IntRange(0, 3).Draw(t, "commit") > 0) },
			"begin":   func(*rapid.T) { beginIfNone(pick()) },
			"renew":   func(*rapid.T) { pick().begin() },
			"markers": func(*rapid.T) { w.writeSome(false) },
			"again":   func(*rapid.T) { w.writeSome(false) },
			"late":    func(t *rapid.T) { w.deliverLate(t) },
			"flush":   func(*rapid.T) { w.flush() },
			"crash":   func(*rapid.T) { w.crash() },
			"time":    func(t *rapid.T) { w.pass(time.Duration(rapid.IntRange(1, 40_000).Draw(t, "ms")) * time.Millisecond) },
			"": func(*rapid.T) {
				for _, s := range scribes {
					s.whole(false)
				}
			},
		})
		w.settle()
		for _, s := range scribes {
			s.whole(true)
		}
	})
}

func beginIfNone(s *scribe) {
	if s.producer == None {
		s.begin()
	}
}

func (w *world) deliverLate(t *rapid.T) {
	if len(w.late) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.late)-1).Draw(t, "request")
	w.late[i]()
	w.flush()
}

// settle lets everything come to its end: what is decided is carried out, and what
// is open runs out of time.
func (w *world) settle() {
	for range 40 {
		w.pass(10 * time.Second)
		for len(w.markers) > 0 {
			w.writeSome(true)
			w.flush()
		}
	}
	for p, l := range w.logs {
		if stable := l.LastStable(l.End()); stable != l.End() {
			w.t.Fatalf("partition %d ends at %d, and has a transaction open at %d", p, l.End(), stable)
		}
	}
}
