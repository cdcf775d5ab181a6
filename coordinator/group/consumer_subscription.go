package group

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/assign"
	"github.com/klamm-io/klamm/protocol"
)

// regexPause is how long topics may come and go before the regular expressions of
// a group are looked up again.
const regexPause = time.Second

// advance takes in what a member says, makes a new target if that or the cluster
// asks for one, and leads the member a step towards it.
func (d *draft) advance(before, said *consumerMember, sees Sees, owned []kmsg.ConsumerGroupHeartbeatRequestTopic) (*consumerMember, error) {
	bump, changed, err := d.subscribe(before, said, sees)
	if err != nil {
		return nil, err
	}
	d.refresh(bump)
	if err := d.retarget(); err != nil {
		return nil, err
	}
	return d.reconcile(said, changed, owned)
}

// subscribe takes in what the member says of itself. Bump says that the group is
// not what it was, changed that the member's subscription is not.
func (d *draft) subscribe(before, said *consumerMember, sees Sees) (bump, changed bool, err error) {
	if before.regex != said.regex && said.regex != "" && d.group.using(said.regex) == 0 {
		if _, err := compile(said.regex); err != nil {
			return false, false, err
		}
	}
	if d.group.members[said.id] == nil || !said.equal(before) {
		d.putMember(said)
	}
	changed = !slices.Equal(before.topics, said.topics) || before.regex != said.regex
	return d.resolve(before.regex, sees) || changed, changed, nil
}

// compile makes a regular expression that matches whole names, as Kafka's do.
func compile(regex string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(regex); err != nil {
		return nil, fmt.Errorf("the regular expression %q: %w: %w", regex, err, kerr.InvalidRegularExpression)
	}
	return regexp.Compile(`\A(?:` + regex + `)\z`)
}

// resolve looks up the topics of the group's regular expressions, if there are new
// ones or topics came or went. It reports whether any stands for other topics now.
func (d *draft) resolve(former string, sees Sees) (changed bool) {
	if former != "" && d.group.using(former) == 0 {
		if _, known := d.group.regexes[former]; known {
			d.erase(regexKey, former)
			changed = true
		}
	}
	for regex := range inOrder(d.stale()) {
		found := resolved{topics: d.matching(regex, sees), version: d.cluster.Version(), at: d.now.UnixMilli()}
		changed = changed || !slices.Equal(found.topics, d.group.regexes[regex].topics)
		d.putRegex(regex, found)
	}
	return changed
}

// stale are the regular expressions to be looked up: those that never were, and
// all if topics came or went, or it was long ago.
func (d *draft) stale() map[string]bool {
	unknown, used, last := map[string]bool{}, map[string]bool{}, time.Time{}
	for _, m := range d.group.members {
		if m.regex == "" {
			continue
		}
		used[m.regex] = true
		if found, known := d.group.regexes[m.regex]; !known {
			unknown[m.regex] = true
		} else if at := time.UnixMilli(found.at); at.After(last) {
			last = at
		}
	}
	g, age := d.groups[d.id], d.now.Sub(last)
	others := g == nil || g.looked.names != d.seen.names
	if others && (age >= regexPause || len(used) == 0) || age >= d.config.Consumer.RegexRefresh {
		seen := d.seen.names
		d.whenCounts(func(g *group) { g.looked.names = seen })
		return used
	}
	return unknown
}

func (d *draft) matching(regex string, sees Sees) []string {
	found := []string{}
	r, err := compile(regex)
	if err != nil {
		return found // from a log: it was checked when it came
	}
	for name := range d.cluster.TopicNames() {
		if r.MatchString(name) && sees(name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// refresh takes the group to another epoch if it or its topics changed.
func (d *draft) refresh(bump bool) {
	g := d.groups[d.id]
	if !bump && g != nil && g.looked.any == d.seen.any {
		return
	}
	hash := d.hashOf(d.group.topics())
	if bump || hash != d.group.metadataHash {
		d.putEpoch(d.group.epoch+1, hash)
	}
	if d.group.oldMetadata {
		d.erase(oldMetadataKey)
	}
	seen := d.seen.any
	d.whenCounts(func(g *group) { g.looked.any = seen })
}

// settings are what a group is held to.
type settings struct{ session, heartbeat, assignment time.Duration }

func (d *draft) settings() settings { return d.settingsOf(d.id) }

func (c *Coordinator) settingsOf(id string) settings {
	set, standard := c.cluster.GroupConfig(id), c.config.Consumer
	return settings{
		session:    standard.SessionTimeout.of(set, "consumer.session.timeout.ms"),
		heartbeat:  standard.HeartbeatInterval.of(set, "consumer.heartbeat.interval.ms"),
		assignment: standard.AssignmentInterval.of(set, "consumer.assignment.interval.ms"),
	}
}

// retarget makes a new target for a group that is not what it was, but not more
// often than it may: many members that come at once make one target together.
func (d *draft) retarget() error {
	g := d.group
	if g.assignmentEpoch >= g.epoch {
		return nil
	}
	if g.assignedAt != 0 && d.now.Before(time.UnixMilli(g.assignedAt).Add(d.settings().assignment)) {
		return nil
	}
	name := g.preferred(d.config.Consumer.Assignors[0])
	_, assignor, found := assign.Named(name)
	if !found {
		return fmt.Errorf("there is no assignor %q: %w", name, kerr.UnknownServerError)
	}
	members, topics := d.spec()
	for id, target := range inOrder(assignor(members, topics)) {
		if was, known := g.target[id]; !known || !was.Equal(target) {
			d.putTarget(id, target)
		}
	}
	d.putTargetEpoch(g.epoch, d.now.UnixMilli())
	return nil
}

// spec is the group as assignors see it.
func (d *draft) spec() ([]assign.Member, assign.Topics) {
	var members []assign.Member
	topics, known := assign.Topics{}, map[string]Topic{}
	for _, name := range d.group.topics() {
		if t, found := d.cluster.Topic(name); found {
			topics[t.ID], known[name] = t.Partitions, t
		}
	}
	for _, m := range d.group.sorted() {
		spec := assign.Member{ID: m.id, Owned: d.group.target[m.id]}
		if m.instanceID != nil {
			spec.InstanceID = *m.instanceID
		}
		for name, t := range known {
			if d.group.subscribes(m, name) {
				spec.Topics = append(spec.Topics, t.ID)
			}
		}
		slices.SortFunc(spec.Topics, func(a, b protocol.TopicID) int { return slices.Compare(a[:], b[:]) })
		members = append(members, spec)
	}
	return members, topics
}

// reconcile leads the member a step towards its target.
func (d *draft) reconcile(m *consumerMember, changed bool, owned []kmsg.ConsumerGroupHeartbeatRequestTopic) (*consumerMember, error) {
	g := d.group
	if !changed && m.reached(g.assignmentEpoch) {
		return m, nil
	}
	var others map[protocol.TopicID]map[int32]bool
	r := reconciliation{
		member: m, target: g.target[m.id], epoch: g.assignmentEpoch, changed: changed, owned: owned,
		subscribed: func(id protocol.TopicID) bool {
			t, found := d.cluster.TopicByID(id)
			return found && g.subscribes(m, t.Name)
		},
		taken: func(topic protocol.TopicID, p int32) bool {
			if others == nil {
				others = g.heldByOthers(m.id)
			}
			return others[topic][p]
		},
	}
	after, err := r.step()
	if err != nil {
		return nil, fmt.Errorf("member %s: %w", m.id, err)
	}
	if !after.equal(m) {
		d.putCurrent(after)
		d.watchRevocation(after)
	}
	return after, nil
}
