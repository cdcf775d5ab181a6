package health

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klamm-io/klamm/internal/quantity"
)

// Loss is what would not work while a node is away.
type Loss struct {
	// Never are partitions that nobody can write with acks=all while any of their
	// replicas is away, since min.insync.replicas, or the one that leads, is all of them.
	Never []string
	// Now are reasons that pass when others are well again.
	Now []string
	// Quorum is why the controllers cannot lose the node, however well they are; empty
	// where they can.
	Quorum string
}

// Losing says what would not work while a node is away. One that is down is lost
// already: nothing more is.
func (f *Facts) Losing(id int32) Loss {
	var loss Loss
	if f.up(id) {
		f.losingReplicas(id, &loss)
	}
	if f.Quorum != nil && slices.Contains(f.Quorum.all(), id) {
		f.Quorum.losing(id, &loss)
	}
	return loss
}

func (f *Facts) losingReplicas(id int32, loss *Loss) {
	needs := func(p *Partition) int { return max(1, p.needs()) } // one leads, where more is not known
	touched := func(p *Partition) bool {
		return p.Leader >= 0 && slices.Contains(p.ISR, id) && len(without(p.ISR, []int32{id})) < needs(p)
	}
	_, loss.Never = f.those(func(p *Partition) bool { return touched(p) && needs(p) >= len(p.Target()) })
	found, names := f.those(func(p *Partition) bool { return touched(p) && needs(p) < len(p.Target()) })
	if found != nil {
		loss.Now = append(loss.Now, fmt.Sprintf("%s too few replicas in sync besides broker %d: %s (%s)",
			partitionsHave(names), id, few(names), f.catchUp(found)))
	}
}

func (q *Quorum) losing(id int32, loss *Loss) {
	if q.Failed != "" || q.Leader < 0 {
		loss.Now = append(loss.Now, "the controller quorum has no leader")
		return
	}
	voters := q.all()
	heard := q.voters(func(v Voter) bool { return v.ID != id && !q.silent(v) })
	switch {
	case len(voters)-1 < majority(len(voters)):
		loss.Quorum = fmt.Sprintf("without node %d there is no majority of the controllers (%d in all), and nothing can be changed", id, len(voters))
	case len(heard) < majority(len(voters)):
		loss.Now = append(loss.Now, fmt.Sprintf("of the %d other voters of the controller quorum %d work, and %d are needed", len(voters)-1, len(heard), majority(len(voters))))
	}
}

func (q *Quorum) all() []int32 { return q.voters(func(Voter) bool { return true }) }

// Lacks says what a node that was restarted still lacks, empty where it is well: it
// is up, all its replicas are in sync, and as a voter it has all that was decided.
func (f *Facts) Lacks(id int32) string {
	b := f.Broker(id)
	late, names := f.those(func(p *Partition) bool { return slices.Contains(p.late(), id) })
	voter := f.Quorum != nil && slices.Contains(f.Quorum.all(), id)
	switch {
	case f.Quorum != nil && (f.Quorum.Failed != "" || f.Quorum.Leader < 0):
		return "the controller quorum has no leader"
	case b == nil && !voter:
		return "it is not in the cluster"
	case b != nil && b.Fenced:
		return "it is fenced"
	case b != nil && b.Silent != "":
		return "it does not answer: " + b.Silent
	case late != nil:
		return fmt.Sprintf("%s not in sync: %s", quantity.Counted(int64(len(late)), "replica on it is", "replicas on it are"), few(names))
	case voter:
		return f.Quorum.lacks(id)
	}
	return ""
}

func (q *Quorum) lacks(id int32) string {
	for _, v := range q.Voters {
		switch {
		case v.ID != id || v.ID == q.Leader:
		case q.silent(v):
			return "the leader of the controller quorum does not hear from it"
		case !v.CaughtUp.IsZero() && q.now().Sub(v.CaughtUp) >= voterPatience:
			return "it has not caught up with the controller quorum"
		}
	}
	return ""
}

// mostNames are told of where a sentence names what it is about.
const mostNames = 5

// few names some, and says how many more there are.
func few(names []string) string {
	text, more := strings.Join(names[:min(len(names), mostNames)], ", "), len(names)-mostNames
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
