package group

import (
	"time"

	"github.com/klamm-io/klamm/coordinator/assign"
)

// draft is what a step makes of a consumer group. Each change is a record, and is
// made in a copy at the same time; the copy takes the group's place when the
// records were appended, and is dropped when they were not.
type draft struct {
	*Coordinator
	id      string
	now     time.Time
	group   *consumerGroup // as it is now; not changed before own is set
	own     bool           // group is a copy
	records []Record
	// turned is the classic group that it becomes instead (the last member of the new
	// protocol went).
	turned *group
	counts []func(*group) // done when the records were appended: deadlines
}

func (c *Coordinator) draftOf(id string, g *consumerGroup, now time.Time) *draft {
	return &draft{Coordinator: c, id: id, group: g, now: now}
}

// edit returns the copy in which changes are made.
func (d *draft) edit() *consumerGroup {
	if !d.own {
		d.group, d.own = d.group.clone(), true
	}
	return d.group
}

func (d *draft) write(r Record) { d.records = append(d.records, r) }

// putMember takes in what a member says of itself.
func (d *draft) putMember(m *consumerMember) {
	d.edit().put(m)
	d.write(memberRecord(d.id, m))
}

// putCurrent takes in where a member is.
func (d *draft) putCurrent(m *consumerMember) {
	d.edit().put(m)
	d.write(currentRecord(d.id, m))
}

func (d *draft) putTarget(member string, target assign.Partitions) {
	d.edit().target[member] = target
	d.write(targetRecord(d.id, member, target))
}

func (d *draft) putTargetEpoch(epoch int32, ms int64) {
	g := d.edit()
	g.assignmentEpoch, g.assignedAt = epoch, ms
	d.write(targetEpochRecord(d.id, g))
}

func (d *draft) putEpoch(epoch int32, hash int64) {
	g := d.edit()
	g.epoch, g.metadataHash = epoch, hash
	d.write(epochRecord(d.id, g))
}

func (d *draft) putRegex(regex string, r resolved) {
	d.edit().regexes[regex] = r
	d.write(regexRecord(d.id, regex, r))
}

// erase writes that there is nothing any more for a key.
func (d *draft) erase(version int16, of ...string) {
	name := ""
	if len(of) > 0 {
		name = of[0]
	}
	d.edit().erase(version, name)
	d.write(Record{Key: consumerRecordKey(version, d.id, of...)})
}

func (d *draft) eraseMember(id string) {
	d.erase(currentKey, id)
	d.erase(targetKey, id)
	d.erase(memberKey, id)
	d.whenCounts(func(g *group) { delete(g.watched, id) })
}

// eraseGroup writes that the group is no more.
func (d *draft) eraseGroup() {
	members := d.group.sorted()
	for _, version := range []int16{currentKey, targetKey} {
		for _, m := range members {
			d.erase(version, m.id)
		}
	}
	d.erase(targetEpochKey)
	for _, m := range members {
		d.erase(memberKey, m.id)
	}
	for regex := range d.group.regexes {
		d.erase(regexKey, regex)
	}
	if d.group.oldMetadata {
		d.erase(oldMetadataKey)
	}
	d.erase(epochKey)
}

func (d *draft) whenCounts(fn func(*group)) { d.counts = append(d.counts, fn) }

// finish writes what the step changed, and then answers. Without a change it
// answers at once.
func (d *draft) finish(out *Output, answer func(error) []Reply) {
	if len(d.records) == 0 {
		if g := d.groups[d.id]; g != nil {
			d.count(g)
		}
		out.Replies = append(out.Replies, answer(nil)...)
		return
	}
	out.write(d.records, func(err error) []Reply {
		if err != nil {
			return answer(err)
		}
		g := d.obtain(d.id, d.now)
		g.leaveClassic()
		g.consumer = d.group
		if d.turned != nil {
			g.consumer, g.watched = nil, nil
			g.takeClassic(d.turned)
		}
		d.count(g)
		d.schedule(g)
		return answer(nil)
	})
}

func (d *draft) count(g *group) {
	for _, fn := range d.counts {
		fn(g)
	}
}

// leaveClassic forgets that the group was a classic one. Its offsets stay.
func (g *group) leaveClassic() { g.takeClassic(newGroup(g.id, g.since)) }

// takeClassic makes the group the classic one that from is, but for its offsets.
func (g *group) takeClassic(from *group) {
	g.state, g.since, g.generation = from.state, from.since, from.generation
	g.protocolType, g.protocol, g.leader = from.protocolType, from.protocol, from.leader
	g.members, g.order, g.static, g.pending = from.members, from.order, from.static, from.pending
	g.delayed, g.assignWritten = false, false
}
