package group

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/assign"
)

// Versions of the keys of a consumer group's records, which say what a record is
// (docs/formats/consumer-offsets.md). All values are at version 0.
const (
	epochKey       int16 = 3  // the group's epoch
	oldMetadataKey int16 = 4  // what topics looked like; read, and deleted where it is met
	memberKey      int16 = 5  // what a member says of itself
	targetEpochKey int16 = 6  // for which epoch the target is
	targetKey      int16 = 7  // what a member is to have
	currentKey     int16 = 8  // what a member has
	regexKey       int16 = 16 // which topics a regular expression stands for
	consumerValue  int16 = 0
)

func isConsumerKey(version int16) bool {
	return version >= epochKey && version <= currentKey || version == regexKey
}

// consumerRecordKey is the key of a group's record, with the member or regular
// expression that it is of, if any.
func consumerRecordKey(version int16, group string, of ...string) []byte {
	key := kbin.AppendString(kbin.AppendInt16(nil, version), group)
	for _, name := range of {
		key = kbin.AppendString(key, name)
	}
	return key
}

func valueBegin() []byte { return kbin.AppendInt16(nil, consumerValue) }

func epochRecord(id string, g *consumerGroup) Record {
	value := appendTagged64(kbin.AppendInt32(valueBegin(), g.epoch), g.metadataHash)
	return Record{Key: consumerRecordKey(epochKey, id), Value: value}
}

func targetEpochRecord(id string, g *consumerGroup) Record {
	value := appendTagged64(kbin.AppendInt32(valueBegin(), g.assignmentEpoch), g.assignedAt)
	return Record{Key: consumerRecordKey(targetEpochKey, id), Value: value}
}

func targetRecord(id, member string, target assign.Partitions) Record {
	return Record{Key: consumerRecordKey(targetKey, id, member), Value: append(appendPartitions(valueBegin(), target), 0)}
}

func currentRecord(id string, m *consumerMember) Record {
	v := kbin.AppendInt32(valueBegin(), m.epoch)
	v = kbin.AppendInt32(v, m.previousEpoch)
	v = kbin.AppendInt8(v, int8(m.state))
	v = appendHeld(appendHeld(v, m.assigned), m.revoking)
	return Record{Key: consumerRecordKey(currentKey, id, m.id), Value: append(v, 0)}
}

func regexRecord(id, regex string, r resolved) Record {
	v := appendStrings(valueBegin(), r.topics)
	v = kbin.AppendInt64(kbin.AppendInt64(v, r.version), r.at)
	return Record{Key: consumerRecordKey(regexKey, id, regex), Value: append(v, 0)}
}

func memberRecord(id string, m *consumerMember) Record {
	v := kbin.AppendCompactNullableString(valueBegin(), m.instanceID)
	v = kbin.AppendCompactNullableString(v, m.rackID)
	v = kbin.AppendCompactString(v, m.client.ID)
	v = kbin.AppendCompactString(v, m.client.Host)
	v = appendStrings(v, m.topics)
	v = kbin.AppendCompactNullableString(v, &m.regex)
	v = kbin.AppendInt32(v, int32(m.rebalanceTimeout.Milliseconds()))
	v = kbin.AppendCompactNullableString(v, m.assignor)
	return Record{Key: consumerRecordKey(memberKey, id, m.id), Value: appendTag(append(v, 1), 0, appendClassic(m.classic))}
}

// appendClassic is null, or a struct with a mark in front that it is there.
func appendClassic(c *classicMember) []byte {
	if c == nil {
		return []byte{0}
	}
	v := kbin.AppendInt32([]byte{1}, int32(c.sessionTimeout.Milliseconds()))
	v = kbin.AppendCompactArrayLen(v, len(c.protocols))
	for _, p := range c.protocols {
		v = kbin.AppendCompactString(v, p.Name)
		v = append(kbin.AppendCompactBytes(v, p.Metadata), 0)
	}
	return append(v, 0)
}

func (r *valueReader) classic() *classicMember {
	if r.Uvarint() == 0 {
		return nil
	}
	c := &classicMember{sessionTimeout: time.Duration(r.Int32()) * time.Millisecond}
	for range max(0, r.elements(3)) {
		p := kmsg.JoinGroupRequestProtocol{Name: r.CompactString()}
		p.Metadata = append([]byte{}, r.CompactBytes()...)
		r.tags(nil)
		c.protocols = append(c.protocols, p)
	}
	r.tags(nil)
	if len(c.protocols) == 0 {
		r.fail() // it could not be answered
	}
	return c
}

// consumerRecord is a record that was read: its key, and what it says.
type consumerRecord struct {
	version int16
	group   string
	of      string // member or regular expression
	value   *valueReader
}

// readConsumerKey takes a key apart.
func readConsumerKey(key []byte) (r consumerRecord, err error) {
	in := kbin.Reader{Src: key}
	r.version, r.group = in.Int16(), in.String()
	switch r.version {
	case memberKey, targetKey, currentKey, regexKey:
		r.of = in.String()
	}
	if err := in.Complete(); err != nil {
		return r, fmt.Errorf("key of a consumer group, version %d: %w", r.version, err)
	}
	return r, nil
}

func (c *Coordinator) replayConsumer(key, value []byte, now time.Time) error {
	r, err := readConsumerKey(key)
	if err != nil {
		return err
	}
	if value == nil {
		if g := c.groups[r.group]; g != nil && g.consumer != nil {
			g.consumer.erase(r.version, r.of)
			c.settle(g, r.version)
		}
		return nil
	}
	r.value = &valueReader{kbin.Reader{Src: value}}
	if v := r.value.Int16(); v != consumerValue {
		return fmt.Errorf("consumer group %s, key version %d: value version %d is not known", r.group, r.version, v)
	}
	apply := r.read()
	if err := r.value.Complete(); err != nil {
		return fmt.Errorf("consumer group %s, key version %d: %w", r.group, r.version, err)
	}
	g := c.obtain(r.group, now)
	if g.consumer == nil {
		g.leaveClassic()
		g.consumer = newConsumerGroup()
	}
	apply(g.consumer)
	return nil
}

// settle takes the group away once the record that stands for it is gone. Its
// offsets stay.
func (c *Coordinator) settle(g *group, version int16) {
	if version != epochKey {
		return
	}
	g.consumer = nil
	if len(g.offsets) == 0 {
		delete(c.groups, g.id)
	}
}

// erase takes in that there is nothing any more for a key.
func (g *consumerGroup) erase(version int16, of string) {
	switch version {
	case oldMetadataKey:
		g.oldMetadata = false
	case memberKey:
		g.remove(of)
	case targetEpochKey:
		g.assignmentEpoch, g.assignedAt = -1, 0
	case targetKey:
		delete(g.target, of)
	case currentKey:
		if m := g.members[of]; m != nil {
			m = m.clone()
			m.epoch, m.previousEpoch, m.assigned, m.revoking = leaveEpoch, leaveEpoch, held{}, held{}
			g.put(m)
		}
	case regexKey:
		delete(g.regexes, of)
	}
}

// read reads the value and returns what it changes.
func (r *consumerRecord) read() func(*consumerGroup) {
	switch r.version {
	case epochKey:
		epoch, hash := r.value.Int32(), r.value.tagged64()
		return func(g *consumerGroup) { g.epoch, g.metadataHash = epoch, hash }
	case memberKey:
		return r.readMember()
	case targetEpochKey:
		epoch, when := r.value.Int32(), r.value.tagged64()
		return func(g *consumerGroup) { g.assignmentEpoch, g.assignedAt = epoch, when }
	case targetKey:
		target := r.value.partitions()
		r.value.tags(nil)
		return func(g *consumerGroup) { g.target[r.of] = target }
	case currentKey:
		return r.readCurrent()
	case regexKey:
		found := resolved{topics: r.value.strings(), version: r.value.Int64(), at: r.value.Int64()}
		r.value.tags(nil)
		return func(g *consumerGroup) { g.regexes[r.of] = found }
	}
	r.value.Src = nil // what an older Kafka kept of topics is of no use
	return func(g *consumerGroup) { g.oldMetadata = true }
}

func (r *consumerRecord) readMember() func(*consumerGroup) {
	v := r.value
	said := consumerMember{instanceID: v.CompactNullableString(), rackID: v.CompactNullableString()}
	said.client = Client{ID: v.CompactString(), Host: v.CompactString()}
	said.topics = v.strings()
	if regex := v.CompactNullableString(); regex != nil {
		said.regex = *regex
	}
	said.rebalanceTimeout = time.Duration(v.Int32()) * time.Millisecond
	said.assignor = v.CompactNullableString()
	v.tags(func(tag uint32, value *valueReader) {
		if tag == 0 {
			said.classic = value.classic()
		}
	})
	return func(g *consumerGroup) {
		m := g.memberOrNew(r.of)
		said.id, said.epoch, said.previousEpoch, said.state = m.id, m.epoch, m.previousEpoch, m.state
		said.assigned, said.revoking = m.assigned, m.revoking
		g.put(&said)
	}
}

func (r *consumerRecord) readCurrent() func(*consumerGroup) {
	v := r.value
	epoch, previous, state := v.Int32(), v.Int32(), memberState(v.Int8())
	assigned, revoking := v.held(epoch), v.held(epoch)
	v.tags(nil)
	return func(g *consumerGroup) {
		m := g.memberOrNew(r.of).clone()
		m.epoch, m.previousEpoch, m.state, m.assigned, m.revoking = epoch, previous, state, assigned, revoking
		g.put(m)
	}
}

// memberOrNew is the member of that id, or one that has just come.
func (g *consumerGroup) memberOrNew(id string) *consumerMember {
	if m := g.members[id]; m != nil {
		return m
	}
	return &consumerMember{id: id, previousEpoch: -1, rebalanceTimeout: -time.Millisecond, topics: []string{}, assigned: held{}, revoking: held{}}
}
