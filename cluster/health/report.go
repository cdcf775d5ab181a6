package health

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Severity says how bad a problem is.
type Severity int

// The severities, from what only should be known to what is lost already.
const (
	Info    Severity = iota // it passes by itself
	Warning                 // nothing is lost yet, but less is left to lose
	Bad                     // something does not work
)

func (s Severity) String() string { return []string{"info", "warning", "bad"}[s] }

// MarshalText writes the severity as String does.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Problem is one thing that is wrong.
type Problem struct {
	Severity Severity `json:"severity"`
	Kind     string   `json:"kind"`  // a name for programs, which does not change
	What     string   `json:"what"`  // a sentence without its full stop
	Where    []string `json:"where"` // all that it concerns: partitions, brokers, folders
	Do       string   `json:"do"`    // what to do about it, a sentence without its full stop
}

// Counts are how much there is of everything.
type Counts struct {
	Brokers    int `json:"brokers"` // that take part
	Topics     int `json:"topics"`
	Partitions int `json:"partitions"`
	Replicas   int `json:"replicas"`
	Voters     int `json:"voters"`
}

// Report is what there is to say about a cluster.
type Report struct {
	Healthy  bool      `json:"healthy"` // nothing is worse than Info
	Problems []Problem `json:"problems"`
	Unknown  []Unknown `json:"unknown"`
	Counts   Counts    `json:"counts"`
}

// rules are all that is looked for. Problems of one severity come in this order:
// causes before what they lead to.
var rules = []func(*Facts) []Problem{
	quorumProblems,
	fencedBrokers,
	missingBrokers,
	silentBrokers,
	failedDirs,
	fullDisks,
	damagedReplicas,
	offlinePartitions,
	underMinISR,
	lateReplicas,
	atMinISR,
	moves,
}

// Judge says what is wrong with a cluster, the worst first.
func Judge(f *Facts) Report {
	r := Report{Problems: []Problem{}, Unknown: append([]Unknown{}, f.Unknown...), Counts: count(f)}
	for _, rule := range rules {
		r.Problems = append(r.Problems, rule(f)...)
	}
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return cmp.Compare(b.Severity, a.Severity) })
	r.Healthy = len(r.Problems) == 0 || r.Problems[0].Severity == Info
	return r
}

func count(f *Facts) Counts {
	c := Counts{Partitions: len(f.Partitions)}
	for _, b := range f.Brokers {
		if !b.Fenced {
			c.Brokers++
		}
	}
	topics := map[string]bool{}
	for i := range f.Partitions {
		topics[f.Partitions[i].Topic] = true
		c.Replicas += len(f.Partitions[i].Replicas)
	}
	c.Topics = len(topics)
	if f.Quorum != nil {
		c.Voters = len(f.Quorum.Voters)
	}
	return c
}

// those returns the partitions for which holds, and their names.
func (f *Facts) those(holds func(*Partition) bool) (found []*Partition, names []string) {
	for i := range f.Partitions {
		if p := &f.Partitions[i]; holds(p) {
			found, names = append(found, p), append(names, p.String())
		}
	}
	return found, names
}

// ids writes numbers as people read them: "1", "1 and 2", "1, 2 and 3".
func ids(list []int32) string { return enumerate(list, "and") }

func enumerate(list []int32, last string) string {
	texts := make([]string, len(list))
	for i, id := range list {
		texts[i] = strconv.Itoa(int(id))
	}
	if n := len(texts); n > 1 {
		return strings.Join(texts[:n-1], ", ") + " " + last + " " + texts[n-1]
	}
	return strings.Join(texts, "")
}

// brokers writes "broker 1" or "brokers 1 and 2".
func brokers(list []int32) string {
	if len(list) == 1 {
		return "broker " + ids(list)
	}
	return "brokers " + ids(list)
}

// eitherBroker writes "broker 1" or "broker 1 or 2".
func eitherBroker(list []int32) string {
	sorted := slices.Sorted(slices.Values(list))
	return "broker " + enumerate(sorted, "or")
}
