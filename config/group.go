package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ConsumerGroups is how groups of the new protocol are set (KIP-848).
type ConsumerGroups struct {
	Session, Heartbeat, Assignment Bounds
	MaxSize                        int32
	Assignors                      []string // by the names that clients know
	Upgrade, Downgrade             bool     // group.consumer.migration.policy
}

// Bounds is a time that may be set for each group, and between what.
type Bounds struct{ Standard, Min, Max time.Duration }

// groupKeys are the keys of a group, sorted by name. Each has its default and its
// bounds in keys of the broker.
var groupKeys = []key{
	{name: "consumer.assignment.interval.ms", kind: Int, valid: atLeast(0), broker: "group.consumer.assignment.interval.ms",
		doc: "How often at most the group is assigned anew: members that come within that time are taken in together."},
	{name: "consumer.heartbeat.interval.ms", kind: Int, valid: atLeast(1), broker: "group.consumer.heartbeat.interval.ms",
		doc: "How often its members are told to send heartbeats."},
	{name: "consumer.session.timeout.ms", kind: Int, valid: atLeast(1), broker: "group.consumer.session.timeout.ms",
		doc: "How long a member may be silent before it is removed."},
}

var groupKeyByName = byName(groupKeys)

// bound is the broker's key that holds a group's key to at least or at most
// something: which is min or max.
func (k *key) bound(which string) string {
	return strings.Replace(k.broker, "group.consumer.", "group.consumer."+which+".", 1)
}

func (b *Broker) fillConsumerGroups() {
	policy := strings.ToLower(b.value("group.consumer.migration.policy"))
	b.ConsumerGroups = ConsumerGroups{
		Session: b.bounds("consumer.session.timeout.ms"), Heartbeat: b.bounds("consumer.heartbeat.interval.ms"),
		Assignment: b.bounds("consumer.assignment.interval.ms"), MaxSize: int32(b.int("group.consumer.max.size")),
		Upgrade:   policy == "upgrade" || policy == "bidirectional",
		Downgrade: policy == "downgrade" || policy == "bidirectional",
	}
	for _, name := range splitList(b.value("group.consumer.assignors")) {
		short := strings.ToLower(strings.TrimSuffix(name[strings.LastIndexByte(name, '.')+1:], "Assignor"))
		if !slices.Contains(b.ConsumerGroups.Assignors, short) {
			b.ConsumerGroups.Assignors = append(b.ConsumerGroups.Assignors, short)
		}
	}
}

func (b *Broker) bounds(name string) Bounds {
	k := groupKeyByName[name]
	return Bounds{b.ms(k.broker), b.ms(k.bound("min")), b.ms(k.bound("max"))}
}

// checkConsumerGroups makes sure that defaults and bounds fit together.
func (b *Broker) checkConsumerGroups() error {
	if len(b.ConsumerGroups.Assignors) == 0 {
		return errors.New("group.consumer.assignors names none; want uniform, range or both")
	}
	for i := range groupKeys {
		k := &groupKeys[i]
		least, most, standard := b.int(k.bound("min")), b.int(k.bound("max")), b.int(k.broker)
		if standard < least || standard > most {
			return fmt.Errorf("%s is %d: %s and %s hold it to %d to %d", k.broker, standard, k.bound("min"), k.bound("max"), least, most)
		}
	}
	if s, h := b.ConsumerGroups.Session.Standard, b.ConsumerGroups.Heartbeat.Standard; s <= h {
		return fmt.Errorf("group.consumer.session.timeout.ms is %d: it must be more than group.consumer.heartbeat.interval.ms, which is %d", s.Milliseconds(), h.Milliseconds())
	}
	return nil
}

// ValidateGroup tells whether configs may be set for a group. An error wraps
// INVALID_CONFIG and says which key is wrong, and why.
func (b *Broker) ValidateGroup(set map[string]string) error {
	if err := b.checkGroup(set); err != nil {
		return fmt.Errorf("%w: %w", err, kerr.InvalidConfig)
	}
	return nil
}

func (b *Broker) checkGroup(set map[string]string) error {
	names := slices.Sorted(maps.Keys(set))
	for _, name := range names {
		if groupKeyByName[name] == nil {
			return fmt.Errorf("Unknown group config name: %s", name)
		}
	}
	for _, name := range names {
		k := groupKeyByName[name]
		if err := k.check(set[name]); err != nil {
			return err
		}
		n, _ := strconv.ParseInt(strings.TrimSpace(set[name]), 10, 64) // it has passed check
		if n < b.int(k.bound("min")) {
			return fmt.Errorf("%s must be greater than or equal to %s", name, k.bound("min"))
		}
		if n > b.int(k.bound("max")) {
			return fmt.Errorf("%s must be less than or equal to %s", name, k.bound("max"))
		}
	}
	value := func(name string) int64 {
		if v, is := set[name]; is {
			n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			return n
		}
		return b.int(groupKeyByName[name].broker)
	}
	if value("consumer.session.timeout.ms") <= value("consumer.heartbeat.interval.ms") {
		return errors.New("consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms")
	}
	return nil
}

// DescribeGroup lists a group's configuration, sorted by name: what is set for it,
// over what was set for all brokers at run time.
func (b *Broker) DescribeGroup(everyBroker, set map[string]string) []Entry {
	all := make([]Entry, len(groupKeys))
	for i := range groupKeys {
		k := &groupKeys[i]
		var chain []Synonym
		if v, is := set[k.name]; is {
			chain = append(chain, Synonym{Name: k.name, Value: k.plain(v), Source: GroupConfig})
		}
		chain = append(chain, b.brokerChain(k.broker, everyBroker, nil)...)
		all[i] = Entry{Name: k.name, Value: k.plain(chain[0].Value), Source: sourceOf(chain), Type: k.kind, Synonyms: chain, Doc: k.doc}
	}
	return all
}

// Group is what counts for a group, by key, of what is set for it and what was set
// for all brokers at run time.
func (b *Broker) Group(everyBroker, set map[string]string) map[string]string {
	counts := map[string]string{}
	for i := range groupKeys {
		k := &groupKeys[i]
		if v, is := everyBroker[k.broker]; is {
			counts[k.name] = k.plain(v)
		}
		if v, is := set[k.name]; is {
			counts[k.name] = k.plain(v)
		}
	}
	return counts
}
