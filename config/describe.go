package config

import "maps"

// Source is where a value comes from, numbered as DescribeConfigs does.
type Source int8

// Sources, numbered as in Kafka's ConfigSource.
const (
	TopicConfig                Source = 1
	DynamicBrokerConfig        Source = 2
	DynamicDefaultBrokerConfig Source = 3
	StaticBrokerConfig         Source = 4
	DefaultConfig              Source = 5
	GroupConfig                Source = 8
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
	Null        bool // the value is not shown
}

// DescribeTopic lists a topic's configuration, sorted by name: what is set for
// it, over what was set at run time for this broker and for all of them.
func (b *Broker) DescribeTopic(everyBroker, this, overrides map[string]string) []Entry {
	all := make([]Entry, len(topicKeys))
	dynamic := maps.Collect(maps.All(everyBroker))
	maps.Copy(dynamic, this)
	for i := range topicKeys {
		k := &topicKeys[i]
		chain := b.topicChain(k, everyBroker, this, overrides)
		all[i] = Entry{Name: k.name, Value: b.topicValue(k, dynamic, overrides), Source: sourceOf(chain), Type: k.kind, Synonyms: chain, Doc: k.doc}
	}
	return all
}

func sourceOf(chain []Synonym) Source {
	if len(chain) == 0 {
		return DefaultConfig
	}
	return chain[0].Source
}

// topicChain lists the places that have a value for a topic's key. As in Kafka,
// the broker's keys of a coarser unit do not count: what follows from
// log.retention.hours is a default.
func (b *Broker) topicChain(k *key, everyBroker, this, overrides map[string]string) []Synonym {
	var chain []Synonym
	if v, set := overrides[k.name]; set {
		chain = append(chain, Synonym{Name: k.name, Value: k.plain(v), Source: TopicConfig})
	}
	if k.broker == "" {
		return chain
	}
	return append(chain, b.brokerChain(k.broker, everyBroker, this)...)
}

// topicValue is what counts for a topic: what is set for it, else the finest of
// the broker's keys that has a value, in the topic's unit.
func (b *Broker) topicValue(k *key, dynamic, overrides map[string]string) string {
	if v, set := overrides[k.name]; set {
		return k.plain(v)
	}
	for _, f := range familyOf(k.broker) {
		if v, set := dynamic[f.name]; set {
			return f.convert(v)
		}
		if v, set := b.values[f.name]; set {
			return f.convert(v)
		}
		if holder := brokerKeyByName[f.name]; holder != nil && !holder.null {
			return f.convert(holder.standard)
		}
	}
	return k.standard
}

// DescribeBroker lists this broker's configuration, sorted by name, under what
// was set at run time for all brokers and for this one.
func (b *Broker) DescribeBroker(everyBroker, this map[string]string) []Entry {
	var all []Entry
	for i := range brokerKeys {
		k := &brokerKeys[i]
		if k.ofPlugin {
			continue
		}
		if _, forAll := everyBroker[k.name]; k.atRunTime && !forAll {
			if _, own := this[k.name]; !own {
				continue
			}
		}
		all = append(all, b.brokerEntry(k, everyBroker, this))
	}
	return all
}

func (b *Broker) brokerEntry(k *key, everyBroker, this map[string]string) Entry {
	e := Entry{Name: k.name, Value: k.standard, Null: k.null, Type: k.kind, Doc: k.doc, ReadOnly: !k.dynamic}
	e.Synonyms = b.brokerChain(k.name, everyBroker, this)
	e.Source = sourceOf(e.Synonyms)
	if len(e.Synonyms) > 0 {
		e.Value, e.Null = k.plain(e.Synonyms[0].Value), false
	}
	if k.kind == Secret {
		e.hide()
	}
	return e
}

// hide takes away what nobody is to see.
func (e *Entry) hide() {
	e.Sensitive, e.Null, e.Value = true, true, ""
	for i := range e.Synonyms {
		e.Synonyms[i].Null, e.Synonyms[i].Value = true, ""
	}
}

// brokerChain lists the places that have a value for a broker's key, or for one
// of a coarser unit that stands in for it. Those before the key itself are left
// out, and so all are when the key has no value anywhere.
func (b *Broker) brokerChain(name string, everyBroker, this map[string]string) []Synonym {
	family := familyOf(name)
	var chain []Synonym
	add := func(source Source, valueOf func(name string) (string, bool)) {
		for _, f := range family {
			if v, set := valueOf(f.name); set {
				chain = append(chain, Synonym{Name: f.name, Value: v, Source: source})
			}
		}
	}
	in := func(values map[string]string) func(string) (string, bool) {
		return func(name string) (v string, set bool) { v, set = values[name]; return }
	}
	add(DynamicBrokerConfig, in(this))
	add(DynamicDefaultBrokerConfig, in(everyBroker))
	add(StaticBrokerConfig, in(b.values))
	add(DefaultConfig, func(name string) (string, bool) {
		k := brokerKeyByName[name]
		return k.standard, !k.null && !k.atRunTime
	})
	for len(chain) > 0 && chain[0].Name != name {
		chain = chain[1:]
	}
	return chain
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
		s := Synonym{Name: k.name, Value: v, Source: DynamicDefaultBrokerConfig}
		all = append(all, Entry{Name: k.name, Value: v, Source: s.Source, Type: k.kind, Doc: k.doc, Synonyms: []Synonym{s}})
	}
	return all
}
