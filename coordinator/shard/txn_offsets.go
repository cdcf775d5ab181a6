package shard

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/group"
	"github.com/klamm-io/klamm/coordinator/step"
)

// VerifyTxn begins to find out whether the group's partition of __consumer_offsets
// is in a producer's transaction. It returns what TxnOffsetCommit needs to begin it
// there.
func (g *Groups) VerifyTxn(groupID string, producerID int64, epoch int16) (verification uint64, err error) {
	p, err := g.of(groupID)
	if err == nil {
		err = p.serving()
	}
	if err != nil {
		return 0, err
	}
	return p.log.Verify(producerID, epoch), nil
}

// TxnOffsetCommit keeps offsets that count once the producer's transaction is
// committed.
func (g *Groups) TxnOffsetCommit(req *kmsg.TxnOffsetCommitRequest, verification uint64, reply func(*kmsg.TxnOffsetCommitResponse)) {
	err := g.step(req.Group, func(c *group.Coordinator) group.Output {
		return c.TxnOffsetCommit(req, verification, ticketFor(reply), time.Now())
	})
	if err != nil {
		reply(group.TxnOffsetsRefused(req, err))
	}
}

// EndTxn writes the marker of a producer's transaction into a partition of
// __consumer_offsets. done is called once, on any goroutine, when it is committed or
// why it is not; NOT_COORDINATOR where the partition is not led here.
func (g *Groups) EndTxn(index int32, m step.Marker, done func(error)) {
	p, err := g.at(index)
	if err == nil {
		err = p.step(func(c *group.Coordinator) step.Output {
			return c.EndTxn(m, ticketFor(func(w group.MarkerWritten) { done(w.Err) }), time.Now()).Output
		})
	}
	if err != nil {
		done(err)
	}
}
