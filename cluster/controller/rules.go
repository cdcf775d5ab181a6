package controller

import (
	"github.com/klamm-io/klamm/cluster/metadata"
)

// rules are what a topic's configs say about who may lead its partitions.
type rules struct {
	minISR  int  // min.insync.replicas, as configured
	unclean bool // unclean.leader.election.enable
	// lenient topics answer before records are on the disk, as Kafka does. A broker
	// that crashed may then lack acknowledged records; if nobody else is left, the
	// last leader is taken back all the same.
	lenient bool
}

// rulebook knows the rules of every topic. Most topics have none of their own, so
// those without cost a look at a map.
type rulebook struct {
	img   *metadata.Image
	in    Inputs
	plain rules
	// changed are configs that count instead of those in the image.
	changed map[metadata.Resource]map[string]string
}

func newRulebook(img *metadata.Image, in Inputs) *rulebook { return changedRulebook(img, in, nil) }

func changedRulebook(img *metadata.Image, in Inputs, changed map[metadata.Resource]map[string]string) *rulebook {
	b := &rulebook{img: img, in: in, changed: changed}
	b.plain = b.resolve(b.everyBroker(), nil)
	return b
}

func (b *rulebook) everyBroker() map[string]string { return b.config(metadata.BrokerResource("")) }

func (b *rulebook) config(r metadata.Resource) map[string]string {
	if set, changed := b.changed[r]; changed {
		return set
	}
	return b.img.Config(r)
}

// of returns the rules of the topic of that name.
func (b *rulebook) of(topic string) rules {
	set := b.config(metadata.TopicResource(topic))
	if !hasRules(set) {
		return b.plain
	}
	return b.resolve(b.everyBroker(), set)
}

// ruleKeys are the configs that rules come from.
var ruleKeys = []string{minISRKey, "unclean.leader.election.enable", "flush.messages", "flush.ms"}

func hasRules(set map[string]string) bool {
	for _, key := range ruleKeys {
		if _, is := set[key]; is {
			return true
		}
	}
	return false
}

// resolve reads configs that were checked when they were set; one that is not valid
// all the same counts as its zero value, the stricter one.
func (b *rulebook) resolve(everyBroker, set map[string]string) rules {
	c, _ := b.in.Config.Topic(everyBroker, set)
	return rules{minISR: c.MinInsyncReplicas, unclean: c.UncleanLeaderElection, lenient: !c.FlushOnAck}
}

// followRules changes the partitions for which other configs mean another state: the
// ELR counts only up to min.insync.replicas, and a partition without a leader may get
// one. It belongs into the decision that changes the configs, because a leader
// acknowledges by the new ones as soon as it knows them.
func followRules(img *metadata.Image, in Inputs, changed map[metadata.Resource]map[string]string) []metadata.Record {
	for r, after := range changed {
		if sameRules(img.Config(r), after) {
			delete(changed, r)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	s := newSweep(img, in).whole()
	s.rules = changedRulebook(img, in, changed)
	records, _ := s.run(func(p *metadata.Partition) bool { return leaderless(p) || len(p.ELR()) > 0 }, func(*draft) {})
	return records
}

func sameRules(before, after map[string]string) bool {
	for _, key := range ruleKeys {
		was, had := before[key]
		if is, has := after[key]; has != had || is != was {
			return false
		}
	}
	return true
}
