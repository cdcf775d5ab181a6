package txn

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol"
)

// TestTranscripts runs the files of testdata/transcripts: requests and passing time, and what
// the coordinator wants done. go test -rewrite writes them anew.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		s := newShell(Config{MaxTimeout: 15 * time.Minute, AbortInterval: 10 * time.Second, Expiration: time.Hour, Version: two, NewestConnection: none, Epoch: 3})
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.told.Reset()
			run(t, s, d)
			if s.told.Len() == 0 {
				return "nothing\n"
			}
			return s.told.String()
		})
	})
}

// command reads the arguments of one line of a transcript.
type command struct {
	t *testing.T
	d *datadriven.TestData
}

func (c command) text(key, standard string) string {
	for _, a := range c.d.CmdArgs {
		if a.Key == key {
			return strings.Trim(strings.Join(a.Vals, ","), `"`)
		}
	}
	return standard
}

func (c command) number(key string, standard int64) int64 {
	n, err := strconv.ParseInt(c.text(key, strconv.FormatInt(standard, 10)), 10, 64)
	if err != nil {
		c.t.Fatalf("%s: %s: %v", c.d.Pos, key, err)
	}
	return n
}

func (c command) has(key string) bool { return c.d.HasArg(key) }

func (c command) producer() Producer {
	p := None
	if c.has("producer") {
		if _, err := fmt.Sscanf(c.text("producer", ""), "%d/%d", &p.ID, &p.Epoch); err != nil {
			c.t.Fatalf("%s: producer: %v", c.d.Pos, err)
		}
	}
	return p
}

func (c command) places() (all []protocol.TopicPartition) {
	if !c.has("in") {
		return nil
	}
	for _, place := range strings.Split(c.text("in", ""), ",") {
		topic, number, _ := strings.Cut(place, ":")
		n, err := strconv.Atoi(number)
		if err != nil {
			c.t.Fatalf("%s: in: %v", c.d.Pos, err)
		}
		all = append(all, protocol.TopicPartition{Topic: topic, Partition: int32(n)})
	}
	return all
}

func (c command) request() Request {
	r := Request{TransactionalID: c.text("id", "a"), Producer: c.producer(), Version: 2, Connection: uint64(c.number("connection", 0))}
	if c.has("old") {
		r.Version = 0
	}
	return r
}

func run(t *testing.T, s *shell, d *datadriven.TestData) {
	c := command{t, d}
	to := d.Cmd
	switch d.Cmd {
	case "init":
		timeout := time.Duration(c.number("timeout", 60_000)) * time.Millisecond
		s.finish(s.InitProducerID(c.request(), timeout, c.number("fresh", -1), to, s.now))
	case "add":
		patience := time.Duration(c.number("patience", 0)) * time.Millisecond
		s.finish(s.AddPartitions(c.request(), c.places(), to+" "+placesText(c.places()), s.now, s.now.Add(patience)))
	case "verify":
		s.finish(s.Verify(c.request(), c.places(), to))
	case "commit", "abort":
		s.finish(s.End(c.request(), d.Cmd == "commit", c.number("fresh", -1), to, s.now))
	case "written":
		w := s.markers[c.text("id", "a")]
		places := c.places()
		if places == nil {
			places = w.Partitions
		}
		s.finish(s.MarkersWritten(w, places, s.now))
	case "failed":
		s.finish(s.MarkersFailed(s.markers[c.text("id", "a")], s.now))
	case "pass":
		s.now = s.now.Add(time.Duration(c.number("ms", 0)) * time.Millisecond)
		s.finish(s.Tick(s.now))
	case "expire":
		s.finish(s.Expire(s.now))
	case "disk":
		s.refuse = nil
		if c.has("fails") {
			s.refuse = kerr.CoordinatorNotAvailable
		}
	case "epoch":
		s.txns["a"] = &txn{
			id: "a", producer: Producer{ID: 7, Epoch: int16(c.number("at", 0))}, previousID: 7, nextID: -1, lastEpoch: -1,
			timeoutMs: 60_000, startMs: -1, partitions: map[protocol.TopicPartition]bool{},
		}
	case "restart":
		s.restart()
	case "describe":
		describe(s, c.text("id", "a"))
	default:
		t.Fatalf("%s: %s is not known", d.Pos, d.Cmd)
	}
}

func describe(s *shell, id string) {
	d, known := s.Describe(id)
	if !known {
		s.told.WriteString("not known\n")
		return
	}
	fmt.Fprintf(&s.told, "%s: producer %s, in %s\n", d.State, d.Producer, placesText(d.Partitions))
}
