package config

import (
	"strconv"
	"strings"
)

// Source is where a value comes from, numbered as DescribeConfigs does.
type Source int8

// Sources, numbered as in Kafka's ConfigSource.
const (
	TopicConfig                Source = 1
	DynamicBrokerConfig        Source = 2
	DynamicDefaultBrokerConfig Source = 3
	StaticBrokerConfig         Source = 4
	DefaultConfig              Source = 5
)

// Entry is one key with its value.
type Entry struct {
	Name      string
	Value     string
	Null      bool // there is no value
	Source    Source
	Type      Type
	ReadOnly  bool
	Sensitive bool
	Synonyms  []Synonym // all places that have a value, the one that counts first
	Doc       string
}

// Synonym is one place that has a value for a key.
type Synonym struct {
	Name, Value string
	Source      Source
}

// DescribeTopic lists a topic's configuration, sorted by name: what is set for
// it, over what was set for all brokers at run time.
func (b *Broker) DescribeTopic(everyBroker, overrides map[string]string) []Entry {
	var all []Entry
	for i := range topicKeys {
		all = append(all, b.topicEntry(&topicKeys[i], everyBroker, overrides))
	}
	for i := range inertTopicKeys {
		if _, set := overrides[inertTopicKeys[i].name]; set {
			all = append(all, b.topicEntry(&inertTopicKeys[i], everyBroker, overrides))
		}
	}
	return all
}

func (b *Broker) topicEntry(k *key, everyBroker, overrides map[string]string) Entry {
	e := Entry{Name: k.name, Type: k.kind, Doc: k.doc}
	if v, set := overrides[k.name]; set {
		e.Synonyms = append(e.Synonyms, Synonym{k.name, v, TopicConfig})
	}
	if v, set := everyBroker[k.broker]; set {
		e.Synonyms = append(e.Synonyms, Synonym{k.broker, v, DynamicDefaultBrokerConfig})
	}
	if v, set := b.staticDefault(k.broker); set {
		e.Synonyms = append(e.Synonyms, Synonym{k.broker, v, StaticBrokerConfig})
	}
	if holder := brokerKeyByName[k.broker]; holder != nil && !holder.null {
		e.Synonyms = append(e.Synonyms, Synonym{k.broker, holder.standard, DefaultConfig})
	}
	e.Value, e.Source = k.standard, DefaultConfig
	if len(e.Synonyms) > 0 {
		e.Value, e.Source = e.Synonyms[0].Value, e.Synonyms[0].Source
	}
	return e
}

// coarser are the keys that hold a default for topics in a coarser unit, and the
// milliseconds of that.
var coarser = map[string][]struct {
	name string
	unit int64
}{
	"log.retention.ms":   {{"log.retention.minutes", 60_000}, {"log.retention.hours", 3_600_000}},
	"log.roll.ms":        {{"log.roll.hours", 3_600_000}},
	"log.roll.jitter.ms": {{"log.roll.jitter.hours", 3_600_000}},
}

// staticDefault is what this broker was started with for a key that holds a
// default for topics.
func (b *Broker) staticDefault(name string) (value string, set bool) {
	if v, set := b.values[name]; set {
		return v, true
	}
	for _, c := range coarser[name] {
		if v, set := b.values[c.name]; set {
			n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			if n >= 0 {
				n *= c.unit
			}
			return strconv.FormatInt(n, 10), true
		}
	}
	return "", false
}

// DescribeBroker lists this broker's configuration, sorted by name, under what
// was set at run time for all brokers and for this one.
func (b *Broker) DescribeBroker(everyBroker, this map[string]string) []Entry {
	var all []Entry
	for i := range brokerKeys {
		all = append(all, b.brokerEntry(&brokerKeys[i], everyBroker, this))
	}
	return all
}

func (b *Broker) brokerEntry(k *key, everyBroker, this map[string]string) Entry {
	e := Entry{Name: k.name, Type: k.kind, Doc: k.doc, ReadOnly: !k.dynamic}
	add := func(values map[string]string, source Source) {
		if v, set := values[k.name]; set {
			e.Synonyms = append(e.Synonyms, Synonym{k.name, v, source})
		}
	}
	add(this, DynamicBrokerConfig)
	add(everyBroker, DynamicDefaultBrokerConfig)
	add(b.values, StaticBrokerConfig)
	if !k.null {
		e.Synonyms = append(e.Synonyms, Synonym{k.name, k.standard, DefaultConfig})
	}
	e.Null, e.Source = true, DefaultConfig
	if len(e.Synonyms) > 0 {
		e.Value, e.Source, e.Null = e.Synonyms[0].Value, e.Synonyms[0].Source, false
	}
	if k.name == "broker.id" || k.name == "node.id" {
		e.Value = strconv.Itoa(int(b.NodeID))
	}
	return e
}

// DescribeClusterDefault lists what was set at run time for all brokers.
func (b *Broker) DescribeClusterDefault(everyBroker map[string]string) []Entry {
	var all []Entry
	for i := range brokerKeys {
		k := &brokerKeys[i]
		v, set := everyBroker[k.name]
		if !set {
			continue
		}
		s := Synonym{k.name, v, DynamicDefaultBrokerConfig}
		all = append(all, Entry{Name: k.name, Value: v, Source: s.Source, Type: k.kind, Doc: k.doc, Synonyms: []Synonym{s}})
	}
	return all
}
