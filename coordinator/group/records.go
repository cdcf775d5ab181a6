package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
)

// Versions of keys and values as Kafka 4.3 writes them
// (docs/formats/consumer-offsets.md).
const (
	offsetKeyVersion      = 1
	groupKeyVersion       = 2
	offsetValueVersion    = 3
	expiringOffsetVersion = 1 // the only one with a time at which the offset expires
	groupValueVersion     = 3
)

func offsetKey(id string, tp protocol.TopicPartition) []byte {
	k := kmsg.OffsetCommitKey{Version: offsetKeyVersion, Group: id, Topic: tp.Topic, Partition: tp.Partition}
	return k.AppendTo(nil)
}

func offsetRecord(id string, tp protocol.TopicPartition, o *committed) Record {
	v := kmsg.NewOffsetCommitValue()
	v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp = offsetValueVersion, o.offset, o.leaderEpoch, o.metadata, o.at.UnixMilli()
	if !o.expires.IsZero() {
		v.Version, v.ExpireTimestamp = expiringOffsetVersion, o.expires.UnixMilli()
	}
	return Record{Key: offsetKey(id, tp), Value: v.AppendTo(nil)}
}

func offsetTombstone(id string, tp protocol.TopicPartition) Record {
	return Record{Key: offsetKey(id, tp)}
}

func groupKey(id string) []byte {
	k := kmsg.GroupMetadataKey{Version: groupKeyVersion, Group: id}
	return k.AppendTo(nil)
}

func groupTombstone(id string) Record { return Record{Key: groupKey(id)} }

// metadataRecord is the group as it is: its generation and its members with
// their assignments.
func (g *group) metadataRecord(now time.Time) Record {
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.ProtocolType, v.Generation, v.CurrentStateTimestamp = groupValueVersion, g.protocolType, g.generation, now.UnixMilli()
	if g.protocol != "" {
		v.Protocol = &g.protocol
	}
	if g.leader != "" {
		v.Leader = &g.leader
	}
	for m := range g.each {
		told := kmsg.NewGroupMetadataValueMember()
		told.MemberID, told.InstanceID = m.id, m.instanceID
		told.ClientID, told.ClientHost = m.client.ID, m.client.Host
		told.RebalanceTimeoutMillis, told.SessionTimeoutMillis = int32(m.rebalanceTimeout.Milliseconds()), int32(m.sessionTimeout.Milliseconds())
		told.Subscription, told.Assignment = m.metadata(g.protocol), m.assignment
		v.Members = append(v.Members, told)
	}
	return Record{Key: groupKey(g.id), Value: v.AppendTo(nil)}
}

var errShortKey = errors.New("the key has no version")

// Replay takes in a record that was appended before, in order. Once all were,
// [Coordinator.Loaded] is to be called.
func (c *Coordinator) Replay(key, value []byte, now time.Time) error {
	if len(key) < 2 {
		return errShortKey
	}
	switch version := int16(binary.BigEndian.Uint16(key)); version {
	case 0, offsetKeyVersion:
		return c.replayOffset(key, value, now)
	case groupKeyVersion:
		return c.replayGroup(key, value, now)
	default:
		if isConsumerKey(version) {
			return c.replayConsumer(key, value, now)
		}
		if !c.unknown[version] {
			c.unknown[version] = true
			c.logger.Warn("records of a kind that is not known here are left alone", "key_version", version)
		}
		return nil
	}
}

func (c *Coordinator) replayOffset(key, value []byte, now time.Time) error {
	var k kmsg.OffsetCommitKey
	if err := k.ReadFrom(key); err != nil {
		return fmt.Errorf("key of an offset: %w", err)
	}
	tp := protocol.TopicPartition{Topic: k.Topic, Partition: k.Partition}
	if value == nil {
		if g := c.groups[k.Group]; g != nil {
			delete(g.offsets, tp)
		}
		return nil
	}
	o, err := readOffset(value)
	if err != nil {
		return fmt.Errorf("offset of group %s in %s: %w", k.Group, tp, err)
	}
	o.order = c.nextOrder()
	c.obtain(k.Group, now).offsets[tp] = o
	return nil
}

func readOffset(value []byte) (o committed, err error) {
	var v kmsg.OffsetCommitValue
	if err := v.ReadFrom(value); err != nil {
		return o, err
	}
	o = committed{offset: v.Offset, leaderEpoch: -1, metadata: v.Metadata, at: time.UnixMilli(v.CommitTimestamp)}
	if v.Version >= 3 {
		o.leaderEpoch = v.LeaderEpoch
	}
	if v.Version == expiringOffsetVersion && v.ExpireTimestamp >= 0 {
		o.expires = time.UnixMilli(v.ExpireTimestamp)
	}
	return o, nil
}

func (c *Coordinator) replayGroup(key, value []byte, now time.Time) error {
	var k kmsg.GroupMetadataKey
	if err := k.ReadFrom(key); err != nil {
		return fmt.Errorf("key of a group: %w", err)
	}
	if value == nil {
		c.eraseClassic(k.Group)
		return nil
	}
	var v kmsg.GroupMetadataValue
	if err := v.ReadFrom(value); err != nil {
		return fmt.Errorf("group %s: %w", k.Group, err)
	}
	classic := newGroup(k.Group, now)
	classic.restore(&v, now)
	g := c.obtain(k.Group, now)
	g.consumer, g.watched = nil, nil
	g.takeClassic(classic)
	return nil
}

// eraseClassic takes in that there is no classic group of that id any more. What
// it committed stays, and so does the consumer group that it became.
func (c *Coordinator) eraseClassic(id string) {
	switch g := c.groups[id]; {
	case g == nil:
	case g.consumer == nil && len(g.offsets) == 0:
		delete(c.groups, id)
	default:
		g.leaveClassic()
	}
}

// restore makes the group what a record says it was.
func (g *group) restore(v *kmsg.GroupMetadataValue, now time.Time) {
	g.protocolType, g.generation = v.ProtocolType, v.Generation
	if v.CurrentStateTimestamp >= 0 {
		g.since = time.UnixMilli(v.CurrentStateTimestamp)
	}
	if v.Protocol != nil {
		g.protocol = *v.Protocol
	}
	for i := range v.Members {
		m := &v.Members[i]
		g.add(&member{
			id: m.MemberID, instanceID: m.InstanceID, client: Client{ID: m.ClientID, Host: m.ClientHost},
			sessionTimeout:   time.Duration(m.SessionTimeoutMillis) * time.Millisecond,
			rebalanceTimeout: time.Duration(m.RebalanceTimeoutMillis) * time.Millisecond,
			protocols:        []kmsg.JoinGroupRequestProtocol{{Name: g.protocol, Metadata: append([]byte(nil), m.Subscription...)}},
			assignment:       append([]byte(nil), m.Assignment...),
		})
		g.state = stable
	}
	if v.Leader != nil {
		g.leader = *v.Leader
	}
	for _, m := range g.members {
		m.heard(now)
	}
}

// Loaded ends a replay: members count as heard of now. A group that is larger than
// groups may be now has to join again.
func (c *Coordinator) Loaded(now time.Time) step.Output {
	var out Output
	for _, g := range c.groups {
		for _, m := range g.members {
			m.heard(now)
		}
		if g.consumer != nil {
			c.watchLoaded(g, now)
		}
		if len(g.members) > c.config.MaxSize {
			c.prepare(g, now, &out)
		}
		c.schedule(g)
	}
	return out.Output
}
