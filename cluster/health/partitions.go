package health

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klamm-io/klamm/internal/quantity"
)

// offlinePartitions have no leader. Those that wait for the same brokers are one
// problem.
func offlinePartitions(f *Facts) (problems []Problem) {
	at := map[string]int{}
	found, _ := f.those(func(p *Partition) bool { return p.Leader < 0 })
	for _, p := range found {
		do := f.bringBack(p)
		i, known := at[do]
		if !known {
			i = len(problems)
			at[do] = i
			problems = append(problems, Problem{Severity: Bad, Kind: "partition_offline", Do: do})
		}
		problems[i].Where = append(problems[i].Where, p.String())
	}
	for i := range problems {
		problems[i].What = partitionsHave(problems[i].Where) + " no leader: nobody can write or read"
	}
	return problems
}

// bringBack says how a partition gets a leader again.
func (f *Facts) bringBack(p *Partition) string {
	const last = "if that cannot be, `klamm partition elect-leaders --unclean` takes a replica that may lack some records"
	able, have := unionOf(p.ISR, p.ELR), "has all records"
	if len(able) == 0 {
		able, have = p.LastKnownELR, "had all records when it was seen last"
	}
	down := slices.DeleteFunc(slices.Clone(able), f.up)
	switch {
	case len(able) == 0:
		return fmt.Sprintf("start %s; %s", eitherBroker(p.Replicas), last)
	case len(down) == 0:
		return fmt.Sprintf("look into the log of %s, which is up and %s: its folder may have failed; %s", eitherBroker(able), have, last)
	}
	return fmt.Sprintf("start %s, which %s; %s", eitherBroker(down), have, last)
}

// led reports whether a partition has a leader, and its min.insync.replicas is
// known.
func (p *Partition) led() bool { return p.Leader >= 0 && p.MinISR > 0 }

// needs is how many replicas have to be in sync for acks=all: no more than there are.
func (p *Partition) needs() int { return min(p.MinISR, len(p.Replicas)) }

func underMinISR(f *Facts) []Problem {
	found, names := f.those(func(p *Partition) bool { return p.led() && len(p.ISR) < p.needs() })
	if found == nil {
		return nil
	}
	return []Problem{{
		Severity: Bad, Kind: "partition_under_min_isr", Where: names, Do: f.catchUp(found),
		What: partitionsHave(names) + " fewer replicas in sync than min.insync.replicas: what is sent with acks=all is refused",
	}}
}

func atMinISR(f *Facts) []Problem {
	found, names := f.those(func(p *Partition) bool {
		return p.led() && len(p.ISR) == p.needs() && len(p.late()) > 0
	})
	if found == nil {
		return nil
	}
	return []Problem{{
		Severity: Warning, Kind: "partition_at_min_isr", Where: names, Do: f.catchUp(found),
		What: partitionsHave(names) + " just min.insync.replicas in sync: when one more is lost, what is sent with acks=all is refused",
	}}
}

// catchUp says what puts replicas back in sync: brokers that are to be started, and
// those that are on the way.
func (f *Facts) catchUp(found []*Partition) string {
	var all []int32
	for _, p := range found {
		all = unionOf(all, p.late())
	}
	down := slices.DeleteFunc(slices.Clone(all), f.up)
	late := without(all, down)
	var steps []string
	if len(down) > 0 {
		steps = append(steps, "start "+brokers(down))
	}
	if len(late) > 0 {
		steps = append(steps, "wait until "+brokers(late)+" caught up")
	}
	if len(steps) == 0 {
		return "look into the log of the partitions' leaders"
	}
	return strings.Join(steps, ", and ")
}

// lateReplicas are out of sync although their broker is up: a problem for each such
// broker. Those of brokers that are down are told with these.
func lateReplicas(f *Facts) (problems []Problem) {
	for _, b := range f.Brokers {
		if b.Fenced {
			continue
		}
		found, names := f.those(func(p *Partition) bool { return p.Leader >= 0 && slices.Contains(p.late(), b.ID) })
		if found == nil {
			continue
		}
		problems = append(problems, Problem{
			Severity: Warning, Kind: "replica_late", Where: names,
			What: fmt.Sprintf("%s not in sync on broker %d%s", quantity.Counted(int64(len(found)), "replica is", "replicas are"), b.ID, distance(found, b.ID)),
			Do:   fmt.Sprintf("a replica catches up by itself: `klamm cluster health --watch` shows whether it does. If not, look into the log of broker %d and at its disk and network", b.ID),
		})
	}
	return problems
}

// distance says how far a broker's replicas are behind, as far as that is known.
func distance(found []*Partition, broker int32) string {
	var bytes int64
	for _, p := range found {
		behind := p.Behind(broker)
		if behind < 0 {
			return ", nobody told how far behind"
		}
		bytes += behind
	}
	return ", about " + quantity.Bytes(float64(bytes)) + " behind their leaders"
}

// damagedReplicas have records that do not match their checksums: those that others
// have whole, which are copied anew, and the last ones.
func damagedReplicas(f *Facts) []Problem {
	var healing, last []string
	for i := range f.Partitions {
		p := &f.Partitions[i]
		for _, id := range slices.Sorted(maps.Keys(p.Damaged)) {
			where := fmt.Sprintf("%s on broker %d from offset %d", p, id, p.Damaged[id])
			if len(without(p.ISR, []int32{id})) > 0 {
				healing = append(healing, where)
			} else {
				last = append(last, where)
			}
		}
	}
	return slices.Concat(
		damageProblem(Bad, last, "damaged on its disk, and no other replica is in sync: who reads the damage is told so", "are damaged on their disks, and no others are in sync: who reads the damage is told so",
			"look at the disk; `klamm log verify` on the broker shows how far the damage goes. What another broker or a backup has can be brought back; readers go on behind it"),
		damageProblem(Warning, healing, "damaged on its disk", "are damaged on their disks",
			"such a replica leaves the ISR and is copied anew by itself: `klamm cluster health --watch` shows whether it is. Look at the disk: where one bit has changed others may"))
}

func damageProblem(severity Severity, where []string, one, many, do string) []Problem {
	if where == nil {
		return nil
	}
	what := fmt.Sprintf("%d replicas %s", len(where), many)
	if len(where) == 1 {
		what = "1 replica is " + one
	}
	return []Problem{{Severity: severity, Kind: "replica_damaged", Where: where, What: what, Do: do}}
}

// moves are the partitions that go from some brokers to others.
func moves(f *Facts) (problems []Problem) {
	waiting, names := f.those(func(p *Partition) bool {
		return p.Moving() && (p.Leader < 0 || slices.ContainsFunc(p.Adding, func(id int32) bool { return !f.up(id) }))
	})
	if waiting != nil {
		var down []int32
		for _, p := range waiting {
			down = unionOf(down, slices.DeleteFunc(slices.Clone(p.Adding), f.up))
		}
		do := "give the partition a leader first, or take the move back: `klamm partition cancel`"
		if len(down) > 0 {
			do = "start " + brokers(down) + ", or take the moves back: `klamm partition cancel`"
		}
		problems = append(problems, Problem{
			Severity: Warning, Kind: "move_stuck", Where: names, Do: do,
			What: quantity.Counted(int64(len(waiting)), "partition is", "partitions are") + " on the way to other brokers and cannot go on",
		})
	}
	going, names := f.those(func(p *Partition) bool { return p.Moving() && !slices.Contains(waiting, p) })
	if going != nil {
		var bytes int64
		for _, p := range going {
			bytes += p.ToCopy()
		}
		problems = append(problems, Problem{
			Severity: Info, Kind: "moving", Where: names, Do: "`klamm partition list-moves` shows how far they are",
			What: fmt.Sprintf("%s on the way to other brokers, about %s left to copy", quantity.Counted(int64(len(going)), "partition is", "partitions are"), quantity.Bytes(float64(bytes))),
		})
	}
	return problems
}

func partitionsHave(names []string) string {
	return quantity.Counted(int64(len(names)), "partition has", "partitions have")
}

// unionOf returns the brokers of both lists, by id.
func unionOf(a, b []int32) []int32 {
	both := slices.Concat(a, without(b, a))
	slices.Sort(both)
	return both
}
