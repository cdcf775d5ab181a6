package api

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/compress"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/storage/log"
)

// Produce (0), versions 3 to 13.
//
//	3   transactional id, record batches v2 only   5   log start offset
//	7   zstd is allowed (KIP-110)                  8   errors by record (KIP-467)
//	9   flexible                                   10  current leader as a tag (KIP-951)
//	11  TRANSACTION_ABORTABLE (KIP-890)            12  partitions join transactions by themselves
//	13  topic ids (KIP-516)
//
// Versions 0 to 2 are advertised, as Kafka does for librdkafka's sake (KIP-896),
// and refused.

// leaderHintsSince is the first version that tells who leads.
const leaderHintsSince = 10

// adminClientID is what Kafka's admin tools call themselves when they write to
// internal topics.
const adminClientID = "__admin_client"

// produce appends each partition's batch on the connection's goroutine, and
// answers when what it appended is committed, from whichever goroutine commits
// the last of it.
func (h *Handler) produce(r *listener.Request, req *kmsg.ProduceRequest) {
	p := &pendingProduce{handler: h, request: r, acks: req.Acks, response: req.ResponseKind().(*kmsg.ProduceResponse)}
	p.left.Store(1) // this goroutine's own share
	meterOf(r).produced(r, req.Acks)
	if req.TransactionID != nil {
		r.DoPostponed() // the coordinator may have to be asked
		p.verifyTxn(req)
	}
	p.response.Topics = make([]kmsg.ProduceResponseTopic, len(req.Topics))
	for i := range req.Topics {
		p.appendTopic(req, i)
	}
	r.ReleaseBody()
	if send := p.done(); send != nil {
		send()
	}
}

// pendingProduce is a Produce request whose answer is being put together. Each
// partition's answer is written by one goroutine only, before it gives up its
// share of left; who gives up the last one replies.
type pendingProduce struct {
	handler  *Handler
	request  *listener.Request
	acks     int16
	response *kmsg.ProduceResponse
	verified verified // of a transactional producer
	left     atomic.Int32
	misled   atomic.Bool // a partition is led elsewhere
}

func (p *pendingProduce) appendTopic(req *kmsg.ProduceRequest, i int) {
	from, to := &req.Topics[i], &p.response.Topics[i]
	to.TopicID = from.TopicID
	to.Topic = strings.Clone(from.Topic) // the request's aliases its buffer
	to.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(from.Partitions))
	for j := range from.Partitions {
		answer := &to.Partitions[j]
		answer.Default()
		answer.Partition = from.Partitions[j].Partition
		answer.BaseOffset, answer.LogAppendTime = -1, -1
		if err := p.appendPartition(req, from, &from.Partitions[j], answer); err != nil {
			answer.ErrorCode = p.errorCode(req.Version, err)
			answer.ErrorMessage = protocol.ErrorMessage(err)
		}
	}
}

// errorCode says a failed disk in a way that old clients know as a reason to
// try again.
func (p *pendingProduce) errorCode(version int16, err error) int16 {
	if sendsElsewhere(errorCode(err)) {
		p.misled.Store(true)
	}
	if version <= 3 && errors.Is(err, kerr.KafkaStorageError) {
		err = kerr.NotLeaderForPartition
	}
	return errorCode(err)
}

func (p *pendingProduce) appendPartition(req *kmsg.ProduceRequest, t *kmsg.ProduceRequestTopic, from *kmsg.ProduceRequestTopicPartition, answer *kmsg.ProduceResponseTopicPartition) error {
	partition, err := p.target(req, t, from.Partition)
	if err != nil {
		return err
	}
	batch, err := p.admit(req, from.Records)
	if err != nil {
		p.handler.metrics.ProduceFailed(partition.Topic)
		return err
	}
	v := p.verified[partition]
	if v.err != nil {
		p.handler.metrics.ProduceFailed(partition.Topic)
		return v.err
	}
	if req.Acks == -1 {
		if err := partition.CheckMinISR(); err != nil {
			p.handler.metrics.ProduceFailed(partition.Topic)
			return err
		}
	}
	result, err := partition.Append(batch, log.AppendOptions{Now: p.request.Received, Verification: v.number, FlushLater: true})
	answer.LogStartOffset = partition.Log().Start()
	if err != nil {
		p.handler.metrics.ProduceFailed(partition.Topic)
		if hidesLogStart(err) {
			answer.LogStartOffset = -1
		}
		answer.ErrorRecords = errorRecords(result.RecordErrors)
		return err
	}
	answer.BaseOffset, answer.LogAppendTime = result.BaseOffset, result.LogAppendTime
	p.handler.metrics.Produced(partition.Topic, int(batch.Count()), len(from.Records))
	p.request.Postpone(announcement{partition})
	p.awaitCommit(req, partition, result, answer)
	return nil
}

// announcement is the [listener.Task] that follows on appends: one for all that a
// client has sent to a partition together.
type announcement struct{ *replica.Partition }

// Do announces them.
func (a announcement) Do() { a.Announce() }

// target finds where a partition's records go, or why they may not.
func (p *pendingProduce) target(req *kmsg.ProduceRequest, t *kmsg.ProduceRequestTopic, index int32) (*replica.Partition, error) {
	var partition *replica.Partition
	var err error
	name := t.Topic
	if req.Version >= 13 {
		name, partition, err = p.handler.replicaByID(t.TopicID, index)
	} else {
		partition, err = p.handler.replicaOf(name, index)
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicID):
		return nil, err
	case !p.handler.allowed(p.request, security.Write, security.Resource{Type: security.Topic, Name: name}):
		return nil, kerr.TopicAuthorizationFailed
	case err != nil:
		return nil, err
	case req.Acks < -1 || req.Acks > 1:
		return nil, kerr.InvalidRequiredAcks
	case metadata.IsInternal(name) && !p.fromAdmin():
		return nil, fmt.Errorf("topic %s is written by the broker itself: %w", name, kerr.InvalidTopicException)
	}
	return partition, nil
}

func (p *pendingProduce) fromAdmin() bool {
	id := p.request.ClientID
	return id != nil && *id == adminClientID
}

// admit holds what a Produce request may carry for one partition: exactly one
// batch of format 2, in a codec that the version knows, in a transaction only
// where the request names its id.
func (p *pendingProduce) admit(req *kmsg.ProduceRequest, records []byte) (record.Batch, error) {
	batch, rest, err := record.Next(records)
	switch {
	case errors.Is(err, record.ErrShort):
		return nil, fmt.Errorf("a produce request carries one record batch a partition, this one none that is whole: %w", kerr.InvalidRecord)
	case errors.Is(err, record.ErrMagic) && records[magicAt] < 2:
		return nil, fmt.Errorf("%w: %w", err, kerr.InvalidRecord)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", err, kerr.CorruptMessage)
	case hasMore(rest):
		return nil, fmt.Errorf("a produce request carries one record batch a partition, this one more: %w", kerr.InvalidRecord)
	case req.Version < 7 && batch.Attributes().Codec() == compress.Zstd:
		return nil, fmt.Errorf("zstd needs Produce version 7: %w", kerr.UnsupportedCompressionType)
	case batch.Attributes().Transactional() && !p.mayWriteInTxn(req):
		return nil, fmt.Errorf("a batch of producer id %d is in a transaction: %w", batch.ProducerID(), kerr.TransactionalIDAuthorizationFailed)
	}
	return batch, nil
}

// magicAt is where a batch's magic is, in all versions of the format.
const magicAt = 16

// hasMore reports whether another batch follows the first. The beginning of one is
// left out, as Kafka does.
func hasMore(rest []byte) bool {
	if len(rest) == 0 {
		return false // as nearly always: to have it said what is missing would cost more
	}
	_, _, err := record.Next(rest)
	return !errors.Is(err, record.ErrShort)
}

func (p *pendingProduce) mayWriteInTxn(req *kmsg.ProduceRequest) bool {
	return req.TransactionID != nil && p.handler.allowed(p.request, security.Write, txnResource(*req.TransactionID))
}

// hidesLogStart reports whether Kafka answers err without the log's start.
func hidesLogStart(err error) bool {
	for _, known := range []error{kerr.UnknownTopicOrPartition, kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.CorruptMessage, kerr.KafkaStorageError} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

func errorRecords(errs []log.RecordError) []kmsg.ProduceResponseTopicPartitionErrorRecord {
	var out []kmsg.ProduceResponseTopicPartitionErrorRecord
	for _, e := range errs {
		r := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		r.RelativeOffset, r.ErrorMessage = e.Index, &e.Message
		out = append(out, r)
	}
	return out
}

// awaitCommit takes a share in the answer until what was appended is committed.
// acks counts disks: 1 is the leader's, all are those of every in-sync replica;
// with a single replica they are the same disk.
func (p *pendingProduce) awaitCommit(req *kmsg.ProduceRequest, partition *replica.Partition, at log.AppendResult, answer *kmsg.ProduceResponseTopicPartition) {
	if req.Acks == 0 {
		return
	}
	p.left.Add(1)
	deadline := p.request.Received.Add(time.Duration(req.TimeoutMillis) * time.Millisecond)
	version := req.Version
	when := partition.WhenCommitted
	if req.Acks == 1 {
		when = partition.WhenFlushed
	}
	when(at.LeaderEpoch, at.LastOffset, deadline, func(err error) func() {
		if err != nil {
			answer.ErrorCode = p.errorCode(version, err)
			answer.ErrorMessage = protocol.ErrorMessage(err)
			answer.BaseOffset, answer.LogAppendTime = -1, -1
		}
		return p.done()
	})
}

// done gives up a share and replies with the last. It returns what sends the
// reply, nil for nothing to be sent now.
func (p *pendingProduce) done() (send func()) {
	if p.left.Add(-1) > 0 {
		return nil
	}
	if p.misled.Load() && p.response.Version >= leaderHintsSince {
		p.handler.leaderHints(p.response, p.request.Conn.Listener)
	}
	if p.acks != 0 {
		return p.request.SettleMsg(p.response)
	}
	if err := p.firstError(); err != nil {
		p.request.Hangup(err) // with acks=0 a lost connection is all that tells the producer
		return nil
	}
	p.request.ReplyNothing()
	return nil
}

func (p *pendingProduce) firstError() error {
	for _, t := range p.response.Topics {
		for _, a := range t.Partitions {
			if a.ErrorCode != 0 {
				return fmt.Errorf("produce with acks=0 to %s-%d: %w", t.Topic, a.Partition, kerr.ErrorForCode(a.ErrorCode))
			}
		}
	}
	return nil
}
