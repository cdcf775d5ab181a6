package health

import (
	"fmt"
	"slices"
	"time"

	"github.com/klamm-io/klamm/internal/quantity"
)

// voterPatience is how long a voter may be silent, or behind, before it is told of:
// longer than any pause of a voter that works.
const voterPatience = 10 * time.Second

func quorumProblems(f *Facts) []Problem {
	q := f.Quorum
	switch {
	case q == nil:
		return nil
	case q.Failed != "":
		return []Problem{{
			Severity: Bad, Kind: "quorum_unreachable", Where: []string{},
			What: "the controllers do not answer: " + q.Failed + ". Without them nothing can be changed, and nobody replaces a leader that fails",
			Do:   "see that a majority of the voters (controller.quorum.voters) runs, and look into their logs",
		}}
	case q.Leader < 0:
		voters := q.voters(func(Voter) bool { return true })
		return []Problem{{
			Severity: Bad, Kind: "quorum_no_leader", Where: nodes(voters),
			What: "the controller quorum has no leader: nothing can be changed, and nobody replaces a leader that fails",
			Do:   fmt.Sprintf("see that at least %d of the voters %s run and reach each other, and look into their logs", majority(len(voters)), ids(voters)),
		}}
	}
	return slices.Concat(silentVoters(q), lateVoters(q))
}

func silentVoters(q *Quorum) (problems []Problem) {
	silent := q.voters(q.silent)
	if len(silent) == 0 {
		return nil
	}
	left := "one more that fails, and nothing can be changed and no failed leader be replaced"
	switch spare := len(q.Voters) - len(silent) - majority(len(q.Voters)); {
	case spare > 0:
		left = quantity.Counted(int64(spare), "other voter", "other voters") + " may still fail"
	case spare < 0:
		left = "the others are no majority, so that nothing can be changed and no failed leader be replaced"
	}
	return []Problem{{
		Severity: Warning, Kind: "voter_silent", Where: nodes(silent),
		What: fmt.Sprintf("the leader of the controller quorum, node %d, does not hear from %d of %s; %s",
			q.Leader, len(silent), quantity.Counted(int64(len(q.Voters)), "voter", "voters"), left),
		Do: fmt.Sprintf("see whether they run, and look into their logs for why they cannot reach node %d", q.Leader),
	}}
}

func lateVoters(q *Quorum) (problems []Problem) {
	for _, v := range q.Voters {
		late := q.now().Sub(v.CaughtUp)
		if q.silent(v) || v.ID == q.Leader || v.CaughtUp.IsZero() || late < voterPatience {
			continue
		}
		behind := ""
		if leader := q.leader(); v.LogEnd >= 0 && leader.LogEnd > v.LogEnd {
			behind = fmt.Sprintf(" and is %s behind", quantity.Counted(leader.LogEnd-v.LogEnd, "entry", "entries"))
		}
		problems = append(problems, Problem{
			Severity: Warning, Kind: "voter_late", Where: nodes([]int32{v.ID}),
			What: fmt.Sprintf("voter %d of the controller quorum has not caught up for %s%s", v.ID, late.Round(time.Second), behind),
			Do:   fmt.Sprintf("look into the log of node %d, and at its disk and network", v.ID),
		})
	}
	return problems
}

// silent reports whether the leader has not heard from a voter for too long. A
// voter of which no time is told is not silent: it is not known.
func (q *Quorum) silent(v Voter) bool {
	switch {
	case v.ID == q.Leader:
		return false
	case v.Never:
		return true
	}
	return !v.LastFetch.IsZero() && q.now().Sub(v.LastFetch) >= voterPatience
}

func (q *Quorum) leader() Voter {
	for _, v := range q.Voters {
		if v.ID == q.Leader {
			return v
		}
	}
	return Voter{ID: q.Leader, LogEnd: -1}
}

// now is the time by the leader's clock, which all the times here are of.
func (q *Quorum) now() time.Time {
	now := q.leader().LastFetch
	for _, v := range q.Voters {
		if v.LastFetch.After(now) {
			now = v.LastFetch
		}
	}
	return now
}

func (q *Quorum) voters(which func(Voter) bool) (found []int32) {
	for _, v := range q.Voters {
		if which(v) {
			found = append(found, v.ID)
		}
	}
	return found
}

// majority is how many of n voters decide.
func majority(n int) int { return n/2 + 1 }

func nodes(list []int32) []string {
	names := make([]string, len(list))
	for i, id := range list {
		names[i] = fmt.Sprintf("node %d", id)
	}
	return names
}
