package enlist

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/coordinator/txn"
	"github.com/klamm-io/klamm/protocol"
)

// coordinator answers with the code that say gives for each partition.
type coordinator struct {
	say   func(tp protocol.TopicPartition) *kerr.Error
	all   *kerr.Error // of the whole request
	err   error
	hangs bool
	asked []*kmsg.AddPartitionsToTxnRequest
}

func (c *coordinator) send(ctx context.Context, _ int32, r kmsg.Request) (kmsg.Response, error) {
	req := r.(*kmsg.AddPartitionsToTxnRequest)
	c.asked = append(c.asked, req)
	if c.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(time.Millisecond)
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	if c.all != nil {
		resp.ErrorCode = c.all.Code
		return resp, c.err
	}
	for _, t := range req.Transactions {
		told := kmsg.AddPartitionsToTxnResponseTransaction{TransactionalID: t.TransactionalID}
		for _, topic := range t.Topics {
			answer := kmsg.AddPartitionsToTxnResponseTransactionTopic{Topic: topic.Topic}
			for _, p := range topic.Partitions {
				one := kmsg.AddPartitionsToTxnResponseTransactionTopicPartition{Partition: p}
				if c.say != nil {
					if e := c.say(protocol.TopicPartition{Topic: topic.Topic, Partition: p}); e != nil {
						one.ErrorCode = e.Code
					}
				}
				answer.Partitions = append(answer.Partitions, one)
			}
			told.Topics = append(told.Topics, answer)
		}
		resp.Transactions = append(resp.Transactions, told)
	}
	return resp, c.err
}

var flights = []protocol.TopicPartition{{Topic: "flights", Partition: 0}, {Topic: "flights", Partition: 1}}

func question(id string, verify bool, patience time.Duration) Question {
	return Question{
		Request:    txn.Request{TransactionalID: id, Producer: txn.Producer{ID: 7, Epoch: 3}},
		Partitions: flights, VerifyOnly: verify, Patience: patience,
	}
}

// run runs a conversation with c in a bubble.
func run(t *testing.T, c *coordinator, do func(*testing.T, *Coordinators)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		all := New(c.send)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- all.Run(ctx) }()
		do(t, all)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second) // whatever was to be asked again is refused
	})
}

func ask(c *Coordinators, q Question) txn.Answer {
	answers := make(chan txn.Answer, 1)
	c.Ask(2, q, func(a txn.Answer) { answers <- a })
	return <-answers
}

// TestAnswers: what the coordinator says is the answer; what a client could not
// understand is put in words that it does.
func TestAnswers(t *testing.T) {
	always := func(e *kerr.Error) func(protocol.TopicPartition) *kerr.Error {
		return func(protocol.TopicPartition) *kerr.Error { return e }
	}
	for name, c := range map[string]struct {
		coordinator
		want    error
		missing int
	}{
		"all are in it": {},
		"one is not": {coordinator: coordinator{say: func(tp protocol.TopicPartition) *kerr.Error {
			return map[int32]*kerr.Error{1: kerr.TransactionAbortable}[tp.Partition]
		}}, missing: 1},
		"fenced":              {coordinator: coordinator{say: always(kerr.ProducerFenced)}, want: kerr.ProducerFenced},
		"it moved":            {coordinator: coordinator{say: always(kerr.NotCoordinator)}, want: kerr.NotCoordinator},
		"busy":                {coordinator: coordinator{say: always(kerr.ConcurrentTransactions)}, want: kerr.ConcurrentTransactions},
		"not let in":          {coordinator: coordinator{all: kerr.ClusterAuthorizationFailed}, want: kerr.InvalidTxnState},
		"refused as a whole":  {coordinator: coordinator{all: kerr.CoordinatorNotAvailable}, want: kerr.CoordinatorNotAvailable},
		"cannot be reached":   {coordinator: coordinator{err: errors.New("connection refused")}, want: kerr.NetworkException},
		"never says anything": {coordinator: coordinator{hangs: true}, want: kerr.NetworkException},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, &c.coordinator, func(t *testing.T, all *Coordinators) {
				a := ask(all, question("x", true, 0))
				if !errors.Is(a.Err, c.want) || (c.want == nil) != (a.Err == nil) || len(a.Missing) != c.missing {
					t.Errorf("answered %v, missing %v; want %v, %d missing", a.Err, a.Missing, c.want, c.missing)
				}
			})
		})
	}
}

// TestOneRequestForMany: what comes while a node is asked goes out in one request,
// also of the same producer.
func TestOneRequestForMany(t *testing.T) {
	c := &coordinator{}
	run(t, c, func(t *testing.T, all *Coordinators) {
		answers := make(chan error, 10)
		for i := range 5 {
			all.Ask(2, question(fmt.Sprint("x", i/2), i%2 == 0, 0), func(a txn.Answer) { answers <- a.Err })
			synctest.Wait()
		}
		for range 5 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		if len(c.asked) != 2 || len(c.asked[0].Transactions) != 1 || len(c.asked[1].Transactions) != 4 {
			t.Fatalf("5 questions went out in %d requests", len(c.asked))
		}
		sent := c.asked[1].Transactions[1]
		if c.asked[1].Version != 5 || sent.TransactionalID != "x1" || sent.ProducerID != 7 || sent.ProducerEpoch != 3 || !sent.VerifyOnly || len(sent.Topics) != 1 || len(sent.Topics[0].Partitions) != 2 {
			t.Errorf("asked in version %d: %+v", c.asked[1].Version, sent)
		}
	})
}

// TestTransactionBefore: while it is being completed, whoever wants partitions taken in
// waits, but no longer than he wants to.
func TestTransactionBefore(t *testing.T) {
	var busy atomic.Bool
	busy.Store(true)
	c := &coordinator{say: func(protocol.TopicPartition) *kerr.Error {
		if busy.Load() {
			return kerr.ConcurrentTransactions
		}
		return nil
	}}
	run(t, c, func(t *testing.T, all *Coordinators) {
		began := time.Now()
		if a := ask(all, question("x", false, time.Second)); !errors.Is(a.Err, kerr.ConcurrentTransactions) || time.Since(began) > 1010*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(began), a.Err)
		}
		began = time.Now()
		time.AfterFunc(100*time.Millisecond, func() { busy.Store(false) })
		if a := ask(all, question("x", false, time.Second)); a.Err != nil || time.Since(began) > 145*time.Millisecond {
			t.Errorf("complete after 100ms, and told so after %v: %v", time.Since(began), a.Err)
		}
	})
}

// TestGone: a node that was fenced is not waited for, and nobody is once Run has
// ended.
func TestGone(t *testing.T) {
	c := &coordinator{hangs: true}
	run(t, c, func(t *testing.T, all *Coordinators) {
		img, _, err := metadata.Empty().Apply([]metadata.Record{&metadata.BrokerRegistered{Broker: metadata.Broker{ID: 2}}})
		if err != nil {
			t.Fatal(err)
		}
		began, answers := time.Now(), make(chan error, 1)
		all.Ask(2, question("x", true, 0), func(a txn.Answer) { answers <- a.Err })
		synctest.Wait()
		all.MetadataChanged(img)
		time.Sleep(time.Second)
		all.MetadataChanged(metadata.Empty())
		if err := <-answers; !errors.Is(err, kerr.NetworkException) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		all := New(c.send)
		if err := all.Run(ctx); err != nil {
			t.Error(err)
		}
		if a := ask(all, question("x", true, 0)); !errors.Is(a.Err, kerr.NetworkException) {
			t.Errorf("after the end: %v", a.Err)
		}
	})
}
