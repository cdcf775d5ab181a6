package health

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/klamm-io/klamm/protocol"
)

// TestFacts reads facts, one a line, and compares what is said about them by the
// commands judge, "lose id=N" (a node away) and "lacks id=N" (a node restarted):
//
//	broker 1 [rack=r] [fenced] [silent=why]
//	dir 1 /path [usable=5] [total=100] [failed=why]
//	partition t-0 leader=1 replicas=1,2 isr=1 [min=2] [adding=…] [removing=…] [elr=…] [last=…] [sizes=1:100,2:40] [damaged=2:5]
//	quorum leader=1 [failed=why]
//	voter 1 [end=100] [fetched=3s] [caughtup=20s] [never]      how long ago
//	unknown what=why
//	old                                                         fenced brokers are not told of
//
// An underscore stands for a space.
func TestFacts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			f := readFacts(t, d.Input)
			switch d.Cmd {
			case "judge":
				return told(Judge(f))
			case "lose":
				loss := f.Losing(node(t, d))
				return fmt.Sprintf("never: %s\nnow: %s\nquorum: %s\n", strings.Join(loss.Never, ", "), strings.Join(loss.Now, "; "), loss.Quorum)
			case "lacks":
				return fmt.Sprintf("%q\n", f.Lacks(node(t, d)))
			}
			t.Fatalf("there is no command %s", d.Cmd)
			return ""
		})
	})
}

func node(t *testing.T, d *datadriven.TestData) (id int32) {
	d.ScanArgs(t, "id", &id)
	return id
}

func told(r Report) string {
	var out strings.Builder
	fmt.Fprintf(&out, "healthy: %v, %+v\n", r.Healthy, r.Counts)
	for _, p := range r.Problems {
		fmt.Fprintf(&out, "%s %s [%s]\n  %s\n  %s\n", p.Severity, p.Kind, strings.Join(p.Where, ", "), p.What, p.Do)
	}
	for _, u := range r.Unknown {
		fmt.Fprintf(&out, "unknown: %s: %s\n", u.What, u.Why)
	}
	return out.String()
}

func readFacts(t *testing.T, text string) *Facts {
	f := &Facts{FencedKnown: true, Controller: -1}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		keyed := fields{t, map[string]string{}}
		for _, word := range words[1:] {
			key, value, _ := strings.Cut(word, "=")
			keyed.values[key] = strings.ReplaceAll(value, "_", " ")
		}
		switch words[0] {
		case "broker":
			id := keyed.parse(words[1])
			f.Brokers = append(f.Brokers, Broker{ID: id, Host: "host", Port: 9090 + id, Rack: keyed.values["rack"], Fenced: keyed.has("fenced"), Silent: keyed.values["silent"]})
		case "dir":
			b := f.Broker(keyed.parse(words[1]))
			b.Dirs = append(b.Dirs, Dir{Path: words[2], Failed: keyed.values["failed"], Usable: keyed.bytes("usable"), Total: keyed.bytes("total")})
		case "partition":
			f.Partitions = append(f.Partitions, keyed.partition(words[1]))
		case "quorum":
			f.Quorum = &Quorum{Leader: keyed.id("leader"), Failed: keyed.values["failed"]}
		case "voter":
			f.Quorum.Voters = append(f.Quorum.Voters, keyed.voter(words[1]))
		case "unknown":
			what, why, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "unknown")), "=")
			f.Unknown = append(f.Unknown, Unknown{what, why})
		case "old":
			f.FencedKnown = false
		default:
			t.Fatalf("%q is no fact", line)
		}
	}
	return f
}

// fields are the key=value words of a line.
type fields struct {
	t      *testing.T
	values map[string]string
}

func (k fields) has(key string) bool { _, found := k.values[key]; return found }

func (k fields) parse(text string) int32 {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		k.t.Fatal(err)
	}
	return int32(n)
}

func (k fields) id(key string) int32 {
	if !k.has(key) {
		return -1
	}
	return k.parse(k.values[key])
}

func (k fields) bytes(key string) int64 { return int64(k.id(key)) }

func (k fields) ids(key string) (list []int32) {
	for text := range strings.SplitSeq(k.values[key], ",") {
		if text != "" {
			list = append(list, k.parse(text))
		}
	}
	return list
}

func (k fields) partition(name string) Partition {
	topic, index, _ := strings.Cut(name, "-")
	p := Partition{
		TopicPartition: protocol.TopicPartition{Topic: topic, Partition: k.parse(index)},
		Leader:         k.id("leader"), Replicas: k.ids("replicas"), ISR: k.ids("isr"),
		Adding: k.ids("adding"), Removing: k.ids("removing"), ELR: k.ids("elr"), LastKnownELR: k.ids("last"),
		Sizes: map[int32]int64{}, Damaged: map[int32]int64{},
	}
	for pair := range strings.SplitSeq(k.values["damaged"], ",") {
		if id, offset, found := strings.Cut(pair, ":"); found {
			p.Damaged[k.parse(id)] = int64(k.parse(offset))
		}
	}
	if k.has("min") {
		p.MinISR = int(k.id("min"))
	}
	for pair := range strings.SplitSeq(k.values["sizes"], ",") {
		if id, size, found := strings.Cut(pair, ":"); found {
			p.Sizes[k.parse(id)] = int64(k.parse(size))
		}
	}
	return p
}

// noon is when the facts are told.
var noon = time.Date(2013, 1, 1, 12, 0, 0, 0, time.UTC)

func (k fields) voter(id string) Voter {
	v := Voter{ID: k.parse(id), LogEnd: k.bytes("end"), Never: k.has("never")}
	ago := func(key string) time.Time {
		if !k.has(key) {
			return time.Time{}
		}
		d, err := time.ParseDuration(k.values[key])
		if err != nil {
			k.t.Fatal(err)
		}
		return noon.Add(-d)
	}
	v.LastFetch, v.CaughtUp = ago("fetched"), ago("caughtup")
	return v
}
