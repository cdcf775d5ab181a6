//go:build compat

package compat

import (
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestGroups has two members of each client share a topic: one joins the
// other, and stays when that one leaves.
func TestGroups(t *testing.T) {
	for _, c := range present(t) {
		t.Run(c.name, func(t *testing.T) { rebalance(t, all("eager", c, c)) })
		if !c.noCooperative {
			t.Run(c.name+" cooperative", func(t *testing.T) { rebalance(t, all("cooperative", c, c)) })
		}
		if c.consumerProtocol {
			t.Run(c.name+" new protocol", func(t *testing.T) { rebalance(t, all("consumer", c, c, c)) })
		}
	}
}

// TestMixedGroups has different clients in one group: whoever came first leads
// it, and computes the assignment of all others.
func TestMixedGroups(t *testing.T) {
	for strategy, speaks := range map[string]func(client) bool{
		"eager":       func(c client) bool { return !c.noMixing },
		"cooperative": func(c client) bool { return !c.noCooperative },
	} {
		t.Run(strategy, func(t *testing.T) {
			members := slices.DeleteFunc(present(t), func(c client) bool { return !speaks(c) })
			rebalance(t, all(strategy, members...))
			slices.Reverse(members)
			rebalance(t, all(strategy, members...))
		})
	}
}

// TestStaticMembers has two static members of each client share a topic. One is
// killed and comes back: it has the partitions that it had, and the other one
// never noticed.
func TestStaticMembers(t *testing.T) {
	const parts = 4
	for _, c := range present(t) {
		if !c.staticMembers {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			topic := "static-" + c.name
			createTopic(t, topic, parts)
			defer produceSlowly(t, topic, parts)()
			join := func(instance string) *process {
				return start(t, c, "group", topic, "group="+topic, "instance="+instance)
			}
			stays, goes := join("stays"), join("goes")
			pair := gathering{in: []*process{stays, goes}}
			pair.awaitShares(t, parts)
			pair.awaitRecords(t)
			told, had := changes(stays), owned(changes(goes))
			_ = goes.cmd.Process.Kill()
			<-goes.done
			back := join("goes")
			pair = gathering{in: []*process{stays, back}}
			pair.awaitShares(t, parts)
			pair.awaitRecords(t)
			if has := owned(changes(back)); !maps.Equal(has, had) {
				t.Errorf("it had partitions %v, and has %v", had, has)
			}
			if now := changes(stays); len(now) != len(told) {
				t.Errorf("the other one was told %+v", now[len(told):])
			}
		})
	}
}

// changes returns what a member was told of its assignment so far.
func changes(p *process) []event {
	events, _ := p.seen()
	return slices.DeleteFunc(slices.Clone(events), func(e event) bool { return e.Event == "record" })
}

// member is a client in a group, and how it shares partitions.
type member struct {
	client
	strategy string
}

func all(strategy string, clients ...client) []member {
	var members []member
	for _, c := range clients {
		members = append(members, member{c, strategy})
	}
	return members
}

// rebalance has members join a group one by one while records are produced,
// and leave it in the same order. All the time each partition has one owner at
// most; in the end every record was read, and committed.
func rebalance(t *testing.T, members []member, options ...string) {
	topic := "group-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	parts := int32(max(3, len(members)))
	createTopic(t, topic, parts)
	stop := produceSlowly(t, topic, parts)
	g := gathering{options: options}
	for _, m := range members {
		g.all = append(g.all, start(t, m.client, "group", topic, append([]string{"group=" + topic, "strategy=" + m.strategy}, g.options...)...))
		g.in = g.all
		g.awaitShares(t, parts)
		g.awaitRecords(t)
	}
	for len(g.in) > 1 {
		g.in[0].input.Close()
		g.in[0].finish(t)
		g.in = g.in[1:]
		g.awaitShares(t, parts)
		g.awaitRecords(t)
	}
	ends := stop()
	g.awaitEnds(t, ends)
	g.in[0].input.Close()
	g.in[0].finish(t)
	wantOneReader(t, g.all)
	wantAllRead(t, g.all, ends, leaversThatDrop(members))
	wantCommitted(t, topic, topic, ends)
}

// leaversThatDrop counts the members that lose a record when they leave.
func leaversThatDrop(members []member) int {
	n := 0
	for _, c := range members {
		if c.dropsOnLeave {
			n++
		}
	}
	return n
}

// produceSlowly writes a record to each partition of topic every few
// milliseconds. stop ends that and returns the end of each partition.
func produceSlowly(t *testing.T, topic string, parts int32) (stop func() map[int32]int64) {
	t.Helper()
	cl := producer(t, topic)
	stopping, done, ends := make(chan struct{}), make(chan error, 1), map[int32]int64{}
	write := func() error {
		var batch []*kgo.Record
		for p := range parts {
			batch = append(batch, &kgo.Record{Partition: p, Value: []byte("x")})
		}
		for _, result := range cl.ProduceSync(t.Context(), batch...) {
			if result.Err != nil {
				return result.Err
			}
			ends[result.Record.Partition] = result.Record.Offset + 1
		}
		return nil
	}
	go func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			if err := write(); err != nil {
				done <- err
				return
			}
			select {
			case <-stopping:
				done <- nil
				return
			case <-tick.C:
			}
		}
	}()
	return func() map[int32]int64 {
		close(stopping)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		return ends
	}
}

// gathering is the members of a group.
type gathering struct {
	all     []*process
	in      []*process // those that did not leave, from first to last
	options []string
}

// awaitShares waits until all that are in the group own a share of the
// partitions, and none is owned twice.
func (g *gathering) awaitShares(t *testing.T, parts int32) {
	t.Helper()
	await(t, "each member owns a share", g.in, func() bool {
		owners := map[int32]int{}
		for _, p := range g.in {
			events, _ := p.seen()
			mine := owned(events)
			if len(mine) == 0 {
				return false
			}
			for partition := range mine {
				owners[partition]++
			}
		}
		for _, n := range owners {
			if n != 1 {
				return false
			}
		}
		return len(owners) == int(parts)
	})
}

// owned returns the partitions that a member has by what it said.
func owned(events []event) map[int32]bool {
	mine := map[int32]bool{}
	for _, e := range events {
		for _, p := range e.Partitions {
			if e.Event == "assigned" {
				mine[p] = true
			} else {
				delete(mine, p)
			}
		}
	}
	return mine
}

// awaitRecords waits until each member that is in has read more.
func (g *gathering) awaitRecords(t *testing.T) {
	t.Helper()
	before := make([]int, len(g.in))
	for i, p := range g.in {
		before[i] = p.recordsRead()
	}
	await(t, "each member reads on", g.in, func() bool {
		for i, p := range g.in {
			if p.recordsRead() < before[i]+3 {
				return false
			}
		}
		return true
	})
}

// awaitEnds waits until the members have read all partitions to their ends.
func (g *gathering) awaitEnds(t *testing.T, ends map[int32]int64) {
	t.Helper()
	await(t, "all is read", g.in, func() bool {
		next := map[int32]int64{}
		for _, e := range readings(g.all) {
			next[e.Partition] = max(next[e.Partition], e.Offset+1)
		}
		for p, end := range ends {
			if next[p] < end {
				return false
			}
		}
		return true
	})
}

// recordsRead returns how many records the program has printed.
func (p *process) recordsRead() int {
	events, _ := p.seen()
	return len(records(events))
}

// reading is a record and the member that read it.
type reading struct {
	event
	member int
}

// readings returns what all members read, in the order of
// time.
func readings(members []*process) []reading {
	var all []reading
	for i, p := range members {
		events, _ := p.seen()
		for _, e := range events {
			if e.Event == "record" {
				all = append(all, reading{e, i})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b reading) int { return int(a.At - b.At) })
	return all
}

// wantOneReader checks that each partition was read by one member after the
// other, each from what is committed on and without a gap: one that was there
// before comes back to a partition only if it was assigned anew.
func wantOneReader(t *testing.T, members []*process) {
	t.Helper()
	next, last, again := map[int32]int64{}, map[int32]int{}, 0
	for _, r := range readings(members) {
		at, known := next[r.Partition]
		if same := known && last[r.Partition] == r.member; same && r.Offset != at && !assignedTwice(members[r.member], r.Partition) {
			t.Errorf("partition %d: %s goes from %d to %d", r.Partition, members[r.member].name, at-1, r.Offset)
		}
		if r.Offset < at {
			again++
		}
		next[r.Partition], last[r.Partition] = r.Offset+1, r.member
	}
	t.Logf("%d records, %d steps back", len(readings(members)), again)
}

// wantAllRead checks that each record up to the ends was read by some member;
// dropped is how many may be missing.
func wantAllRead(t *testing.T, members []*process, ends map[int32]int64, dropped int) {
	t.Helper()
	read := map[place]bool{}
	for _, r := range readings(members) {
		read[place{r.Partition, r.Offset}] = true
	}
	var missing []place
	for p, end := range ends {
		for offset := range end {
			if at := (place{p, offset}); !read[at] {
				missing = append(missing, at)
			}
		}
	}
	if len(missing) > dropped {
		t.Errorf("nobody read %v; at most %d may be missing\n%s", missing, dropped, histories(members))
	}
}

// assignedTwice tells whether the member had the partition more than once.
func assignedTwice(p *process, partition int32) bool {
	events, _ := p.seen()
	times := 0
	for _, e := range events {
		if e.Event == "assigned" && slices.Contains(e.Partitions, partition) {
			times++
		}
	}
	return times > 1
}

// wantCommitted checks that the group, which is empty, has committed the ends.
func wantCommitted(t *testing.T, group, topic string, ends map[int32]int64) {
	t.Helper()
	adm := admin(t)
	committed, err := adm.FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	for p, end := range ends {
		if at, ok := committed.Lookup(topic, p); !ok || at.At != end {
			t.Errorf("partition %d: committed is %d, its end is %d", p, at.At, end)
		}
	}
	listed, err := adm.ListGroups(t.Context()) // of both protocols
	if err != nil {
		t.Fatal(err)
	}
	if state := listed[group].State; state != "Empty" {
		t.Errorf("all have left, the group is %s", state)
	}
}
