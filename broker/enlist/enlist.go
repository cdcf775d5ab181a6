// Package enlist asks the transaction coordinators of other nodes to take partitions
// into a transaction, or whether they are in it (AddPartitionsToTxn from version 4 on,
// KIP-890). What gathers for a node while it is asked goes out in one request.
//
// A coordinator that is still completing the transaction before is asked again for a
// while; whatever else it says is the answer. Where there is none, or it comes too
// late, that is NETWORK_EXCEPTION: whoever is asked by a client lets it try again.
package enlist

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/outbox"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/coordinator/txn"
	"github.com/klamm-io/klamm/protocol"
)

const (
	// maxTransactions bounds those of one request.
	maxTransactions = 1000
	// sendPatience is how long a coordinator may take: it waits for its followers.
	sendPatience = 10 * time.Second
	// The pauses before a coordinator is asked again that completes the transaction
	// before. Each is twice the last.
	firstPause, longestPause = 5 * time.Millisecond, 40 * time.Millisecond
	// version is the first that tells of partitions which are not in a transaction by
	// TRANSACTION_ABORTABLE.
	version = 5
)

// Question is about one transaction.
type Question struct {
	txn.Request
	Partitions []protocol.TopicPartition
	VerifyOnly bool // whether they are in it; else they are taken in
	// Patience is how long the transaction before may take to be complete.
	Patience time.Duration
}

// Coordinators are the transaction coordinators of other nodes. It is safe for
// concurrent use.
type Coordinators struct {
	send  func(ctx context.Context, node int32, req kmsg.Request) (kmsg.Response, error)
	asked *outbox.Outbox[*asked]
}

// asked is a question that waits for its answer.
type asked struct {
	Question
	reply    func(txn.Answer) // called once
	deadline time.Time        // until when the transaction before is waited for
	pause    time.Duration    // before it is asked again
}

// New returns coordinators that are asked once Run runs. send sends a request to
// another broker and waits for the answer; it returns soon after ctx ended.
func New(send func(ctx context.Context, node int32, req kmsg.Request) (kmsg.Response, error)) *Coordinators {
	c := &Coordinators{send: send}
	c.asked = outbox.New(outbox.Config[*asked]{
		Limit: maxTransactions, Patience: sendPatience, Send: c.ask, Refuse: func(a *asked) { a.refuse(errStopped) },
	})
	return c
}

var errStopped = fmt.Errorf("this broker is stopping: %w", kerr.NetworkException)

// Run asks until ctx ends.
func (c *Coordinators) Run(ctx context.Context) error { return c.asked.Run(ctx) }

// MetadataChanged waits no longer for nodes that were fenced. It does not block.
func (c *Coordinators) MetadataChanged(img *metadata.Image) {
	c.asked.GiveUp(func(node int32) bool {
		b, found := img.Broker(node)
		return !found || b.Fenced
	})
}

// Ask asks the coordinator on a node. reply is called once, on any goroutine.
func (c *Coordinators) Ask(node int32, q Question, reply func(txn.Answer)) {
	c.asked.Put(node, &asked{Question: q, reply: reply, deadline: time.Now().Add(q.Patience)})
}

func (a *asked) refuse(err error) { a.reply(txn.Answer{Producer: txn.None, Err: err}) }

// ask sends one request and sees to the answers.
func (c *Coordinators) ask(ctx context.Context, node int32, all []*asked) {
	answer, err := c.send(ctx, node, request(all))
	resp, is := answer.(*kmsg.AddPartitionsToTxnResponse)
	switch {
	case err != nil:
		err = fmt.Errorf("ask the transaction coordinator on node %d: %w: %w", node, kerr.NetworkException, err)
	case !is || resp.ErrorCode == 0 && len(resp.Transactions) != len(all):
		err = fmt.Errorf("the transaction coordinator on node %d does not answer what it is asked: %w", node, kerr.UnknownServerError)
	case resp.ErrorCode == kerr.ClusterAuthorizationFailed.Code:
		// That one broker may not ask another is nothing that a client could understand.
		err = fmt.Errorf("the transaction coordinator on node %d does not let this broker ask: %w", node, kerr.InvalidTxnState)
	case resp.ErrorCode != 0:
		err = fmt.Errorf("the transaction coordinator on node %d: %w", node, kerr.ErrorForCode(resp.ErrorCode))
	}
	for i, a := range all {
		if err != nil {
			a.refuse(err)
			continue
		}
		c.answer(node, a, answerOf(a, &resp.Transactions[i]))
	}
}

// answer passes an answer on, or asks again.
func (c *Coordinators) answer(node int32, a *asked, told txn.Answer) {
	now := time.Now()
	if a.VerifyOnly || !errors.Is(told.Err, kerr.ConcurrentTransactions) || !now.Before(a.deadline) {
		a.reply(told)
		return
	}
	a.pause = min(max(firstPause, 2*a.pause), longestPause)
	time.AfterFunc(min(a.pause, a.deadline.Sub(now)), func() { c.asked.Put(node, a) })
}

// answerOf is what a coordinator says of a transaction, in the form that one on this
// node does.
func answerOf(a *asked, told *kmsg.AddPartitionsToTxnResponseTransaction) txn.Answer {
	codes := map[protocol.TopicPartition]int16{}
	for _, t := range told.Topics {
		for _, p := range t.Partitions {
			codes[protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = p.ErrorCode
		}
	}
	answer := txn.Answer{Producer: a.Producer}
	for _, tp := range a.Partitions {
		code, answered := codes[tp]
		switch {
		case !answered:
			answer.Err = fmt.Errorf("the coordinator leaves %s out: %w", tp, kerr.UnknownServerError)
		case code == kerr.TransactionAbortable.Code:
			answer.Missing = append(answer.Missing, tp)
		case code != 0:
			answer.Err = kerr.ErrorForCode(code)
		}
	}
	return answer
}

func request(all []*asked) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version = version
	for _, a := range all {
		t := kmsg.NewAddPartitionsToTxnRequestTransaction()
		t.TransactionalID, t.ProducerID, t.ProducerEpoch, t.VerifyOnly = a.TransactionalID, a.Producer.ID, a.Producer.Epoch, a.VerifyOnly
		at := map[string]int{}
		for _, tp := range a.Partitions {
			i, found := at[tp.Topic]
			if !found {
				i = len(t.Topics)
				at[tp.Topic] = i
				t.Topics = append(t.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: tp.Topic})
			}
			t.Topics[i].Partitions = append(t.Topics[i].Partitions, tp.Partition)
		}
		req.Transactions = append(req.Transactions, t)
	}
	return req
}
