package replica

import (
	"slices"
	"time"
)

// A replica whose log is damaged takes these steps, each of which the controller has
// agreed to, so that at no moment anybody relies on what it does not have:
//
//  1. It leaves the ISR, and the lead, where another replica is in sync: it is offline
//     then, though its broker is up. With that a new leader epoch begins, in which the
//     leader knows nothing of it: what it acknowledged before counts no more.
//  2. As a follower of this epoch, before its first fetch, it takes back the first
//     damaged record and all behind it, and copies that from the leader.
//  3. Once it has come as far as it was before, it is not offline any more, and enters
//     the ISR as any follower does.
//
// The last replica in sync is damaged and leads: readers of what it lost are told so.

// A replica whose disk is full takes two of these steps: it leaves the ISR, and the
// lead, where another replica is in sync, so that producers are served where there is
// room. What it has is sound. It follows on, and returns as soon as its disk takes what
// it copies, but not before a while: it leaves again if that was not for long.

// Repair is what a replica's next step towards a sound log takes.
type Repair int

// The steps, and where there is none to take.
const (
	Sound    Repair = iota // it is sound, and counts
	Leave                  // the controller is to be told that it is damaged
	Return                 // the controller is to be told that it works again
	Copying                // it is on the way
	Hopeless               // it is damaged or its disk full, and nobody else is in sync
	Yield                  // the controller is to be told that its disk is full
	Crowded                // it is, and the controller knows
)

// Repair says what a replica of this node needs, by what the controller says of it.
func (p *Partition) Repair(a Assignment, node int32) Repair {
	offline := slices.Contains(a.Offline, node)
	switch {
	case !p.settled(a.LeaderEpoch):
		return Copying // what a says is not taken up yet
	case p.log.Damaged() && !slices.Contains(a.ISR, node) && offline && !a.spares(node):
		return Copying // until enough others are in sync
	case p.log.Damaged() && len(without(a.ISR, []int32{node})) == 0:
		return Hopeless
	case p.log.Damaged():
		return Leave
	case !p.mended.Load():
		return p.makeRoom(offline, len(without(a.ISR, []int32{node})) > 0, time.Now())
	case p.log.End() < p.missing.Load():
		return Copying
	case offline:
		return Return
	}
	p.mended.Store(false)
	return Sound
}

const (
	// yieldAfter is how long a disk must have been full before others are asked to lead:
	// it may be that old segments are just about to go.
	yieldAfter = 500 * time.Millisecond
	// yieldLeast is how long a replica stays away at least.
	yieldLeast = 5 * time.Second
)

// makeRoom says what a replica needs that is sound, and whose disk may be full or have
// been. offline says that the controller takes it out of use, others that others are in
// sync.
func (p *Partition) makeRoom(offline, others bool, now time.Time) Repair {
	since, refuses := p.log.Refusing()
	switch {
	case refuses && offline:
		return Crowded
	case refuses && now.Sub(since) < yieldAfter:
		return Copying
	case refuses && !others:
		return Hopeless
	case refuses:
		p.yielded.Store(now.UnixMilli())
		return Yield
	case p.yielded.Load() == 0:
		return Sound
	case offline && now.Sub(time.UnixMilli(p.yielded.Load())) < yieldLeast:
		return Copying
	case offline:
		return Return
	}
	p.yielded.Store(0)
	return Sound
}

// settled reports whether this replica does what it does in a leader epoch: as a
// follower it has seen to its damage then.
func (p *Partition) settled(leaderEpoch int32) bool {
	p.role.Lock()
	defer p.role.Unlock()
	f := p.following.Load()
	return p.LeaderEpoch() == leaderEpoch && (f == nil || f.took)
}

// Ails reports whether [Partition.Repair] may have anything to say. It may be asked
// often.
func (p *Partition) Ails() bool {
	_, refuses := p.log.Refusing()
	return refuses || p.log.Damaged() || p.mended.Load() || p.yielded.Load() != 0
}

// DamagedFrom returns the first offset that is damaged, or is to be copied anew because
// it was.
func (p *Partition) DamagedFrom() (offset int64, is bool) {
	if p.log.Damaged() {
		if from, known, err := p.log.DamagedFrom(); err == nil && known {
			return from, true
		}
	}
	end := p.log.End()
	return end, p.mended.Load() && end < p.missing.Load()
}

// spares reports whether a replica may take back what it has: it is not in sync, and
// so many others are that no failure of one of them loses anything. Those that are
// offline do not come in sync before they have done the same, and are not waited for.
func (a *Assignment) spares(node int32) bool {
	others := without(a.Replicas, append([]int32{node}, a.Offline...))
	return !slices.Contains(a.ISR, node) && !a.Recovering && len(a.ISR) >= max(1, min(a.MinISR, len(others)))
}

// repair takes back everything from the first damaged record on, so that it is
// copied anew, and returns that offset, -1 where there is none. What stands behind it
// may be all that is left of committed records: so this is done only where others can
// spare it, and before the log takes anything in this term, while the leader knows of
// nothing that it has.
func (f *following) repair(a Assignment, node int32) (from int64, err error) {
	p := f.partition
	p.role.Lock()
	defer p.role.Unlock()
	if f.took || !f.current() {
		return -1, nil
	}
	f.took = true
	if !a.spares(node) {
		return -1, nil
	}
	from, damaged, err := p.log.DamagedFrom()
	if err != nil || !damaged {
		return -1, err
	}
	p.missing.Store(max(p.missing.Load(), min(p.HighWatermark(), p.log.End())))
	p.mended.Store(true)
	return from, f.truncateTo(from)
}
