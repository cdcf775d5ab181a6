package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/protocol"
)

const (
	// proposalLinger is how long proposals are collected before they are sent.
	proposalLinger = 2 * time.Millisecond
	// maxProposals bounds those of one request, so that none holds up the controller.
	maxProposals = 1000
)

// partitionID names a partition for as long as its topic exists.
type partitionID struct {
	topic     protocol.TopicID
	partition int32
}

// proposal is an ISR that the controller is to be asked for, and who wants to know.
type proposal struct {
	replica.Proposal
	done func(replica.ProposalAnswer)
}

func (p *proposal) id() partitionID {
	return partitionID{topic: p.TopicID, partition: p.Partition}
}

func (p *proposal) refuse(err error) { p.done(replica.ProposalAnswer{Err: err}) }

// queue holds one proposal for each partition, in the order in which they came.
type queue struct {
	all []*proposal
	at  map[partitionID]int // in all
}

// put adds a proposal, and returns the older one of the partition that it replaces.
func (q *queue) put(p *proposal) (older *proposal) {
	if at, found := q.at[p.id()]; found {
		older, q.all[at] = q.all[at], p
		return older
	}
	if q.at == nil {
		q.at = map[partitionID]int{}
	}
	q.at[p.id()] = len(q.all)
	q.all = append(q.all, p)
	return nil
}

// take removes the oldest proposals, at most n.
func (q *queue) take(n int) (oldest []*proposal) {
	n = min(n, len(q.all))
	oldest, rest := q.all[:n:n], q.all[n:]
	*q = queue{}
	for _, p := range rest {
		q.put(p)
	}
	return oldest
}

// decided is a proposal that the controller has followed, in the partition epoch at
// which the metadata here shall be.
type decided struct {
	*proposal
	partitionEpoch int32
}

// settled is an answer that is due.
type settled struct {
	*proposal
	answer replica.ProposalAnswer
}

// ProposeISR asks the controller for an ISR, together with others that are asked for
// at about the same time. done is called once, later, and never under a lock; only
// once Run has ended it is called before ProposeISR returns. The answer is an
// assignment once [Conversation.MetadataChanged] has shown it, or a later one. An
// error wraps the controller's, where it came from there.
func (c *Conversation) ProposeISR(p replica.Proposal, done func(replica.ProposalAnswer)) {
	asked := &proposal{Proposal: p, done: done}
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		asked.refuse(errEnded)
		return
	}
	older := c.queue.put(asked)
	c.mu.Unlock()
	if older != nil {
		older.refuse(errReplaced)
	}
	signal(c.proposed)
}

var errReplaced = fmt.Errorf("the leader proposed another ISR before this one was sent: %w", kerr.OperationNotAttempted)

// carryProposals sends proposals until ctx ends, one request at a time.
func (c *Conversation) carryProposals(ctx context.Context) {
	for {
		select {
		case <-c.proposed:
		case <-ctx.Done():
			return
		}
		linger := time.NewTimer(proposalLinger)
		select {
		case <-linger.C:
		case <-ctx.Done():
			linger.Stop()
			return
		}
		c.mu.Lock()
		batch := c.queue.take(maxProposals)
		if len(c.queue.all) > 0 {
			signal(c.proposed)
		}
		c.mu.Unlock()
		if len(batch) > 0 {
			c.alterPartitions(ctx, batch)
		}
	}
}

// alterPartitions asks for the ISRs of a batch and sees to the answers.
func (c *Conversation) alterPartitions(ctx context.Context, batch []*proposal) {
	answer, _, err := c.persist(ctx, func() kmsg.Request { return c.alterPartitionRequest(batch) }, notController)
	resp, err := as[*kmsg.AlterPartitionResponse](answer, err)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if errors.Is(err, kerr.StaleBrokerEpoch) {
		signal(c.wake)
	}
	if err != nil {
		for _, p := range batch {
			p.refuse(fmt.Errorf("ask for the ISR of %s: %w", p.TopicPartition, err))
		}
		return
	}
	answers := map[partitionID]*kmsg.AlterPartitionResponseTopicPartition{}
	for _, t := range resp.Topics {
		for i := range t.Partitions {
			answers[partitionID{topic: t.TopidID, partition: t.Partitions[i].Partition}] = &t.Partitions[i]
		}
	}
	for _, p := range batch {
		c.answer(p, answers[p.id()])
	}
}

// notController finds that who answered does not decide. Codes of single partitions
// are not looked at: by NOT_CONTROLLER one may also say that this broker knows of a
// later decision.
func notController(answer kmsg.Response) error {
	if resp, is := answer.(*kmsg.AlterPartitionResponse); is && resp.ErrorCode == kerr.NotController.Code {
		return kerr.NotController
	}
	return nil
}

// answer takes in what the controller says of a proposal.
func (c *Conversation) answer(p *proposal, told *kmsg.AlterPartitionResponseTopicPartition) {
	switch {
	case told == nil:
		p.refuse(fmt.Errorf("the active controller did not answer for %s: %w", p.TopicPartition, kerr.UnknownServerError))
	case told.ErrorCode != 0:
		p.refuse(fmt.Errorf("ask for the ISR of %s: %w", p.TopicPartition, kerr.ErrorForCode(told.ErrorCode)))
	default:
		c.mu.Lock()
		c.decided = append(c.decided, decided{proposal: p, partitionEpoch: told.PartitionEpoch})
		due := c.settle()
		c.mu.Unlock()
		for _, s := range due {
			s.done(s.answer)
		}
	}
}

// settle takes out the decided proposals that the metadata shows, or whose topic it
// does not have any more. The caller holds mu, and answers them after that.
func (c *Conversation) settle() (due []settled) {
	waiting := c.decided[:0]
	for _, d := range c.decided {
		t, found := c.seen.TopicByID(d.TopicID)
		switch {
		case !found || int(d.Partition) >= len(t.Partitions):
			due = append(due, settled{proposal: d.proposal, answer: replica.ProposalAnswer{
				Err: fmt.Errorf("%s does not exist: %w", d.TopicPartition, kerr.UnknownTopicID),
			}})
		case t.Partitions[d.Partition].PartitionEpoch < d.partitionEpoch:
			waiting = append(waiting, d)
		default:
			p := &t.Partitions[d.Partition]
			due = append(due, settled{proposal: d.proposal, answer: replica.ProposalAnswer{Assignment: replica.Assignment{
				Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch,
				Replicas: p.Replicas, ISR: p.ISR, Recovering: p.Recovering,
			}}})
		}
	}
	clear(c.decided[len(waiting):])
	c.decided = waiting
	return due
}

// endProposals answers all that wait; nothing more is taken.
func (c *Conversation) endProposals() {
	c.mu.Lock()
	c.stopped = true
	all := c.queue.take(len(c.queue.all))
	for _, d := range c.decided {
		all = append(all, d.proposal)
	}
	c.decided = nil
	c.mu.Unlock()
	for _, p := range all {
		p.refuse(errEnded)
	}
}

func (c *Conversation) alterPartitionRequest(batch []*proposal) *kmsg.AlterPartitionRequest {
	req := kmsg.NewPtrAlterPartitionRequest()
	req.BrokerID, req.BrokerEpoch = c.config.Node, c.BrokerEpoch()
	at := map[protocol.TopicID]int{}
	for _, p := range batch {
		i, found := at[p.TopicID]
		if !found {
			i = len(req.Topics)
			at[p.TopicID] = i
			t := kmsg.NewAlterPartitionRequestTopic()
			t.Topic, t.TopicID = p.Topic, p.TopicID
			req.Topics = append(req.Topics, t)
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, wanted(p))
	}
	return req
}

// wanted is a proposal on the wire. Whoever asks for an ISR has recovered.
func wanted(p *proposal) kmsg.AlterPartitionRequestTopicPartition {
	w := kmsg.NewAlterPartitionRequestTopicPartition()
	w.Partition, w.LeaderEpoch, w.PartitionEpoch = p.Partition, p.LeaderEpoch, p.PartitionEpoch
	for _, m := range p.ISR {
		r := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
		r.BrokerID, r.BrokerEpoch = m.ID, m.BrokerEpoch
		w.NewEpochISR = append(w.NewEpochISR, r)
	}
	return w
}
