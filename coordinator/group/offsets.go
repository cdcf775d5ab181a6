package group

import (
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// committed is an offset that a group committed.
type committed struct {
	offset      int64
	leaderEpoch int32
	metadata    string
	at          time.Time
	expires     time.Time // as old clients could ask for; zero: by retention
	order       int64     // greater than that of all that was committed before
}

// OffsetCommit keeps the offsets of a group. Whether the topics exist is for the
// caller to see to, before.
func (c *Coordinator) OffsetCommit(req *kmsg.OffsetCommitRequest, to Ticket, now time.Time) (out Output) {
	check, err := c.mayCommit(req, now)
	if err == nil {
		err = checkAll(req, check)
	}
	if err != nil {
		out.reply(to, commitResponse(req, func(*kmsg.OffsetCommitRequestTopicPartition) error { return err }))
		return out
	}
	tooLong := func(p *kmsg.OffsetCommitRequestTopicPartition) error {
		if p.Metadata != nil && len(*p.Metadata) > c.config.OffsetMetadataMax {
			return kerr.OffsetMetadataTooLarge
		}
		return nil
	}
	var records []Record
	var changes []change
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			if tooLong(p) != nil {
				continue
			}
			ch := change{key: protocol.TopicPartition{Topic: req.Topics[i].Topic, Partition: p.Partition}, value: newCommitted(req, p, now)}
			changes = append(changes, ch)
			records = append(records, offsetRecord(req.Group, ch.key, &ch.value))
		}
	}
	if len(records) == 0 {
		out.reply(to, commitResponse(req, tooLong))
		return out
	}
	out.write(records, func(err error) []Reply {
		failWith := func(why error) *kmsg.OffsetCommitResponse {
			return commitResponse(req, func(*kmsg.OffsetCommitRequestTopicPartition) error { return why })
		}
		if err != nil {
			return []Reply{{To: to, Response: failWith(err)}}
		}
		g := c.obtain(req.Group, now)
		for _, ch := range changes {
			ch.value.order = c.nextOrder()
			g.offsets[ch.key] = ch.value
		}
		return []Reply{{To: to, Response: commitResponse(req, tooLong), Failed: failWith(kerr.NotCoordinator)}}
	})
	return out
}

type change struct {
	key   protocol.TopicPartition
	value committed
}

func newCommitted(req *kmsg.OffsetCommitRequest, p *kmsg.OffsetCommitRequestTopicPartition, now time.Time) committed {
	o := committed{offset: p.Offset, leaderEpoch: -1, at: now}
	if req.Version >= 6 {
		o.leaderEpoch = p.LeaderEpoch
	}
	if p.Metadata != nil {
		o.metadata = *p.Metadata
	}
	if req.Version <= 4 && req.RetentionTimeMillis >= 0 {
		o.expires = now.Add(time.Duration(req.RetentionTimeMillis) * time.Millisecond)
	}
	return o
}

// mayCommit holds who may commit: a member in its generation; or, where the
// group has no members, whoever names none.
func (c *Coordinator) mayCommit(req *kmsg.OffsetCommitRequest, now time.Time) (commitCheck, error) {
	if req.Group == "" && req.Generation >= 0 || len(req.Group) > math.MaxInt16 {
		return nil, kerr.InvalidGroupID
	}
	g := c.groups[req.Group]
	switch {
	case g == nil && req.Generation >= 0 && req.Version >= 9:
		return nil, kerr.GroupIDNotFound
	case g == nil && req.Generation >= 0:
		return nil, kerr.IllegalGeneration
	case g == nil:
		return anyPartition, nil
	case g.consumer != nil:
		return c.mayCommitAs(g.consumer, committer{member: req.MemberID, instanceID: req.InstanceID, epoch: req.Generation, version: req.Version})
	case req.Generation < 0 && g.state == empty:
		return anyPartition, nil
	case req.Generation < 0 && req.MemberID == "" && req.InstanceID == nil:
		return nil, kerr.UnknownMemberID // the group has members: it is theirs
	}
	_, m, err := c.find(req.Group, req.MemberID, req.InstanceID)
	switch {
	case err != nil:
		return nil, err
	case req.Generation != g.generation:
		return nil, kerr.IllegalGeneration
	case g.state == completingRebalance:
		return nil, kerr.RebalanceInProgress
	}
	m.heard(now)
	return anyPartition, nil
}

// checkAll asks for every partition. If one may not be committed for, none is, as
// in Kafka.
func checkAll(req *kmsg.OffsetCommitRequest, check commitCheck) error {
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			if err := check(t.Topic, p.Partition); err != nil {
				return err
			}
		}
	}
	return nil
}

func commitResponse(req *kmsg.OffsetCommitRequest, err func(*kmsg.OffsetCommitRequestTopicPartition) error) *kmsg.OffsetCommitResponse {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for i := range req.Topics {
		told := kmsg.NewOffsetCommitResponseTopic()
		told.Topic = req.Topics[i].Topic
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			answer := kmsg.NewOffsetCommitResponseTopicPartition()
			answer.Partition, answer.ErrorCode = p.Partition, code(err(p))
			told.Partitions = append(told.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, told)
	}
	return resp
}

// Offsets answers OffsetFetch for one group: the given topics, or all that it
// committed where topics is nil.
func (c *Coordinator) Offsets(id string, topics []kmsg.OffsetFetchRequestGroupTopic) []kmsg.OffsetFetchResponseGroupTopic {
	told := []kmsg.OffsetFetchResponseGroupTopic{}
	g := c.groups[id]
	if topics == nil {
		topics = g.committedTopics()
	}
	for _, t := range topics {
		topic := kmsg.NewOffsetFetchResponseGroupTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			topic.Partitions = append(topic.Partitions, g.fetched(protocol.TopicPartition{Topic: t.Topic, Partition: p}))
		}
		told = append(told, topic)
	}
	return told
}

func (g *group) fetched(tp protocol.TopicPartition) kmsg.OffsetFetchResponseGroupTopicPartition {
	answer := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	answer.Partition, answer.Offset, answer.LeaderEpoch, answer.Metadata = tp.Partition, -1, -1, new(string)
	if g == nil {
		return answer
	}
	if o, found := g.offsets[tp]; found {
		metadata := o.metadata
		answer.Offset, answer.LeaderEpoch, answer.Metadata = o.offset, o.leaderEpoch, &metadata
	}
	return answer
}

// committedTopics lists what the group committed, sorted.
func (g *group) committedTopics() []kmsg.OffsetFetchRequestGroupTopic {
	if g == nil {
		return nil
	}
	byTopic := map[string][]int32{}
	for tp := range g.offsets {
		byTopic[tp.Topic] = append(byTopic[tp.Topic], tp.Partition)
	}
	var topics []kmsg.OffsetFetchRequestGroupTopic
	for name, partitions := range byTopic {
		slices.Sort(partitions)
		topics = append(topics, kmsg.OffsetFetchRequestGroupTopic{Topic: name, Partitions: partitions})
	}
	slices.SortFunc(topics, func(a, b kmsg.OffsetFetchRequestGroupTopic) int {
		if a.Topic < b.Topic {
			return -1
		}
		return 1
	})
	return topics
}

// OffsetDelete forgets offsets of topics that no member reads (KIP-496).
func (c *Coordinator) OffsetDelete(req *kmsg.OffsetDeleteRequest, to Ticket) (out Output) {
	resp := req.ResponseKind().(*kmsg.OffsetDeleteResponse)
	g := c.groups[req.Group]
	switch {
	case g == nil:
		resp.ErrorCode = kerr.GroupIDNotFound.Code
	case g.consumer == nil && g.state != empty && g.protocolType != consumerProtocol:
		resp.ErrorCode = kerr.NonEmptyGroup.Code
	}
	if resp.ErrorCode != 0 {
		out.reply(to, resp)
		return out
	}
	read := g.reads()
	var gone []protocol.TopicPartition
	for _, t := range req.Topics {
		told := kmsg.NewOffsetDeleteResponseTopic()
		told.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewOffsetDeleteResponseTopicPartition()
			answer.Partition = p.Partition
			tp := protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			if read(t.Topic) {
				answer.ErrorCode = kerr.GroupSubscribedToTopic.Code
			} else if _, found := g.offsets[tp]; found {
				gone = append(gone, tp)
			}
			told.Partitions = append(told.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, told)
	}
	failed := req.ResponseKind().(*kmsg.OffsetDeleteResponse)
	failed.ErrorCode = kerr.NotCoordinator.Code
	c.forget(g, gone, false, &out, func(err error) []Reply {
		if err != nil {
			failed.ErrorCode = code(err)
			return []Reply{{To: to, Response: failed}}
		}
		return []Reply{{To: to, Response: resp, Failed: failed}}
	})
	return out
}

// forget deletes offsets of a group, and the group itself if whole is set.
func (c *Coordinator) forget(g *group, gone []protocol.TopicPartition, whole bool, out *Output, done func(error) []Reply) {
	var records []Record
	for _, tp := range gone {
		records = append(records, offsetTombstone(g.id, tp))
	}
	if whole {
		records = append(records, c.groupTombstones(g)...)
	}
	apply := func(err error) []Reply {
		if err == nil {
			for _, tp := range gone {
				delete(g.offsets, tp)
			}
			if whole {
				delete(c.groups, g.id)
			}
		}
		return done(err)
	}
	if len(records) == 0 {
		out.Replies = append(out.Replies, apply(nil)...)
		return
	}
	out.write(records, apply)
}

// consumerProtocol is the protocol type of consumers, whose subscriptions can be
// read here.
const consumerProtocol = "consumer"

// groupTombstones are the ends of all records of the group but its offsets.
func (c *Coordinator) groupTombstones(g *group) []Record {
	if g.consumer == nil {
		return []Record{groupTombstone(g.id)}
	}
	d := c.draftOf(g.id, g.consumer, time.Time{})
	d.eraseGroup()
	return d.records
}

// reads tells whether a member reads a topic, whatever kind of group it is.
func (g *group) reads() func(topic string) bool {
	if g.consumer == nil {
		return g.subscribed()
	}
	all := g.consumer.topics()
	return func(topic string) bool {
		_, found := slices.BinarySearch(all, topic)
		return found
	}
}

// isEmpty reports whether the group has no members.
func (g *group) isEmpty() bool {
	if g.consumer != nil {
		return len(g.consumer.members) == 0
	}
	return g.state == empty
}

// subscribed tells whether a member reads a topic. If a subscription cannot be
// read, it might be to any topic.
func (g *group) subscribed() func(topic string) bool {
	topics := map[string]bool{}
	for _, m := range g.members {
		metadata := m.metadata(g.protocol)
		if metadata == nil && len(m.protocols) > 0 {
			metadata = m.protocols[0].Metadata // while nothing is agreed
		}
		var s kmsg.ConsumerMemberMetadata
		if err := s.ReadFrom(metadata); err != nil {
			return func(string) bool { return true }
		}
		for _, t := range s.Topics {
			topics[t] = true
		}
	}
	return func(topic string) bool { return topics[topic] }
}

// TopicsDeleted forgets what was committed for topics that are gone.
func (c *Coordinator) TopicsDeleted(names []string) (out Output) {
	for _, g := range c.groups {
		var gone []protocol.TopicPartition
		for tp := range g.offsets {
			if slices.Contains(names, tp.Topic) {
				gone = append(gone, tp)
			}
		}
		if len(gone) > 0 {
			c.forget(g, gone, false, &out, func(error) []Reply { return nil })
		}
	}
	return out
}

// Expire forgets offsets that nobody came back for, and groups without members
// or offsets (KIP-211).
func (c *Coordinator) Expire(now time.Time) (out Output) {
	for _, g := range c.groups {
		gone := c.expired(g, now)
		whole := g.isEmpty() && len(g.pending) == 0 && len(gone) == len(g.offsets) && len(c.unstable(g.id)) == 0
		if len(gone) > 0 || whole {
			c.forget(g, gone, whole, &out, func(error) []Reply { return nil })
		}
	}
	return out
}

// expired returns the offsets whose time is over. It runs from the last commit;
// in a group that had members, not before the last of them left; and while there
// are members, only for topics that none of them reads.
func (c *Coordinator) expired(g *group, now time.Time) (gone []protocol.TopicPartition) {
	read := func(string) bool { return false }
	switch {
	case g.consumer != nil:
		read = g.reads()
	case g.state == empty:
	case g.state == stable && g.protocolType == consumerProtocol:
		read = g.subscribed()
	default:
		return nil
	}
	for tp, o := range g.offsets {
		from := o.at
		if g.consumer == nil && g.state == empty && g.protocolType != "" && g.since.After(from) {
			from = g.since
		}
		over := from.Add(c.config.OffsetsRetention)
		if !o.expires.IsZero() {
			over = o.expires
		}
		if !over.After(now) && !read(tp.Topic) {
			gone = append(gone, tp)
		}
	}
	return gone
}
