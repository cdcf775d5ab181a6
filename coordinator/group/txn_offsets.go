package group

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
)

// Offsets that a producer commits within its transaction (KIP-98). They are
// written at once and count only when the transaction's commit marker is written
// into the same partition of __consumer_offsets; an abort drops them. What was
// committed outside of the transaction after they were written stands.

// pendingOffsets are what one open transaction would commit.
type pendingOffsets map[offsetOf]committed

// offsetOf is an offset's place.
type offsetOf struct {
	group string
	protocol.TopicPartition
}

// TxnOffsetCommit writes offsets that count once the producer's transaction is
// committed. Whether topics exist and this partition of __consumer_offsets is in
// the transaction is for the caller to see to, before: verification is what came of
// the latter.
func (c *Coordinator) TxnOffsetCommit(req *kmsg.TxnOffsetCommitRequest, verification uint64, to Ticket, now time.Time) (out Output) {
	check, err := c.mayCommitInTxn(req, now)
	if err == nil {
		err = checkAllInTxn(req, check)
	}
	if err != nil {
		out.reply(to, TxnOffsetsRefused(req, err))
		return out
	}
	refused := func(p *kmsg.TxnOffsetCommitRequestTopicPartition) error {
		if p.Metadata != nil && len(*p.Metadata) > c.config.OffsetMetadataMax {
			return kerr.OffsetMetadataTooLarge
		}
		return nil
	}
	pending, records := pendingOffsets{}, []Record(nil)
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			if refused(p) != nil {
				continue
			}
			at := offsetOf{req.Group, protocol.TopicPartition{Topic: req.Topics[i].Topic, Partition: p.Partition}}
			o := committedInTxn(req.Version, p, now)
			pending[at] = o
			records = append(records, offsetRecord(req.Group, at.TopicPartition, &o))
		}
	}
	if len(records) == 0 {
		out.reply(to, txnCommitResponse(req, refused))
		return out
	}
	out.Writes = append(out.Writes, Write{
		Records:  records,
		Producer: &step.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch, Verification: verification},
		Done: func(err error) []Reply {
			if err != nil {
				return []Reply{{To: to, Response: TxnOffsetsRefused(req, err)}}
			}
			c.obtain(req.Group, now)
			for at, o := range pending {
				c.setPending(req.ProducerID, at, o)
			}
			return []Reply{{To: to, Response: txnCommitResponse(req, refused), Failed: TxnOffsetsRefused(req, kerr.NotCoordinator)}}
		},
	})
	return out
}

func committedInTxn(version int16, p *kmsg.TxnOffsetCommitRequestTopicPartition, now time.Time) committed {
	o := committed{offset: p.Offset, leaderEpoch: -1, at: now}
	if version >= 2 {
		o.leaderEpoch = p.LeaderEpoch
	}
	if p.Metadata != nil {
		o.metadata = *p.Metadata
	}
	return o
}

// mayCommitInTxn holds who may: old producers name neither member nor generation
// and always may; the others must be a member in its generation (KIP-447).
func (c *Coordinator) mayCommitInTxn(req *kmsg.TxnOffsetCommitRequest, now time.Time) (commitCheck, error) {
	g := c.groups[req.Group]
	switch {
	case !validID(req.Group):
		return nil, kerr.InvalidGroupID
	case g == nil && req.Generation >= 0:
		return nil, kerr.IllegalGeneration
	case g == nil:
		return anyPartition, nil
	case g.consumer != nil:
		check, err := c.mayCommitAs(g.consumer, committer{member: req.MemberID, instanceID: req.InstanceID, epoch: req.Generation, transactional: true})
		if errors.Is(err, kerr.StaleMemberEpoch) {
			err = kerr.IllegalGeneration
		}
		return check, err
	case req.Generation < 0 && (g.state == empty || req.MemberID == "" && req.InstanceID == nil):
		return anyPartition, nil
	}
	_, m, err := c.find(req.Group, req.MemberID, req.InstanceID)
	switch {
	case err != nil:
		return nil, err
	case req.Generation != g.generation:
		return nil, kerr.IllegalGeneration
	}
	m.heard(now)
	return anyPartition, nil
}

// checkAllInTxn asks for every partition. The API knows no stale epochs: they are
// generations that do not count any more.
func checkAllInTxn(req *kmsg.TxnOffsetCommitRequest, check commitCheck) error {
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			if err := check(t.Topic, p.Partition); err != nil {
				return kerr.IllegalGeneration
			}
		}
	}
	return nil
}

// TxnOffsetsRefused answers every partition with the same error.
func TxnOffsetsRefused(req *kmsg.TxnOffsetCommitRequest, why error) *kmsg.TxnOffsetCommitResponse {
	return txnCommitResponse(req, func(*kmsg.TxnOffsetCommitRequestTopicPartition) error { return why })
}

func txnCommitResponse(req *kmsg.TxnOffsetCommitRequest, err func(*kmsg.TxnOffsetCommitRequestTopicPartition) error) *kmsg.TxnOffsetCommitResponse {
	resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	for i := range req.Topics {
		told := kmsg.NewTxnOffsetCommitResponseTopic()
		told.Topic = req.Topics[i].Topic
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			answer := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			answer.Partition, answer.ErrorCode = p.Partition, code(err(p))
			told.Partitions = append(told.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, told)
	}
	return resp
}

// EndTxn writes the marker of a producer's transaction, and makes its offsets
// those of their groups, or drops them. to is answered with MarkerWritten.
func (c *Coordinator) EndTxn(m step.Marker, to Ticket, now time.Time) (out Output) {
	out.Writes = append(out.Writes, Write{
		Marker: &m,
		Done: func(err error) []Reply {
			if err != nil {
				return []Reply{{To: to, Response: MarkerWritten{Err: err}}}
			}
			c.endPending(m.ProducerID, m.Commit, now)
			return []Reply{{To: to, Response: MarkerWritten{}, Failed: MarkerWritten{Err: kerr.NotCoordinator}}}
		},
	})
	return out
}

// MarkerWritten answers EndTxn: the marker is committed, or why it is not.
type MarkerWritten struct{ Err error }

// setPending notes an offset of an open transaction. Its order is that of the log.
func (c *Coordinator) setPending(producerID int64, at offsetOf, o committed) {
	if c.pending[producerID] == nil {
		c.pending[producerID] = pendingOffsets{}
	}
	o.order = c.nextOrder()
	c.pending[producerID][at] = o
}

// nextOrder numbers the changes of offsets as they stand in the log.
func (c *Coordinator) nextOrder() int64 {
	c.changes++
	return c.changes
}

// endPending ends a producer's transaction.
func (c *Coordinator) endPending(producerID int64, commit bool, now time.Time) {
	for at, o := range c.pending[producerID] {
		if !commit {
			continue
		}
		g := c.obtain(at.group, now)
		if before, found := g.offsets[at.TopicPartition]; !found || before.order < o.order {
			g.offsets[at.TopicPartition] = o
		}
	}
	delete(c.pending, producerID)
}

// unstable returns the partitions of a group for which a transaction is open.
func (c *Coordinator) unstable(group string) map[protocol.TopicPartition]bool {
	open := map[protocol.TopicPartition]bool{}
	for _, offsets := range c.pending {
		for at := range offsets {
			if at.group == group {
				open[at.TopicPartition] = true
			}
		}
	}
	return open
}

// StableOffsets is Offsets for a client that must not see what may still change
// (KIP-447): a partition for which a transaction is open is answered with
// UNSTABLE_OFFSET_COMMIT.
func (c *Coordinator) StableOffsets(id string, topics []kmsg.OffsetFetchRequestGroupTopic) []kmsg.OffsetFetchResponseGroupTopic {
	told, open := c.Offsets(id, topics), c.unstable(id)
	for i := range told {
		for j := range told[i].Partitions {
			p := &told[i].Partitions[j]
			if open[protocol.TopicPartition{Topic: told[i].Topic, Partition: p.Partition}] {
				p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = -1, -1, new(string), kerr.UnstableOffsetCommit.Code
			}
		}
	}
	return told
}

// ReplayPending takes in a record that a transaction wrote.
func (c *Coordinator) ReplayPending(producerID int64, key, value []byte, _ time.Time) error {
	var k kmsg.OffsetCommitKey
	if err := k.ReadFrom(key); err != nil {
		return fmt.Errorf("key of an offset in a transaction: %w", err)
	}
	at := offsetOf{k.Group, protocol.TopicPartition{Topic: k.Topic, Partition: k.Partition}}
	o, err := readOffset(value)
	if err != nil {
		return fmt.Errorf("offset of group %s in %s, in a transaction: %w", k.Group, at.TopicPartition, err)
	}
	c.setPending(producerID, at, o)
	return nil
}

// ReplayMarker ends a producer's transaction.
func (c *Coordinator) ReplayMarker(producerID int64, commit bool, now time.Time) {
	c.endPending(producerID, commit, now)
}
