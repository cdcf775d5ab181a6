package control

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/protocol"
)

// TestEveryProposalIsAnsweredOnce: whether the controller followed it, refused it, or
// Run ended meanwhile.
func TestEveryProposalIsAnsweredOnce(t *testing.T) {
	const partitions = 2500
	for _, ends := range []time.Duration{0, 3 * time.Millisecond, 6 * time.Millisecond, 9 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.others(2, 3)
			w.start()
			time.Sleep(100 * time.Millisecond)
			w.topic("flights", partitions, []int32{1})
			time.Sleep(100 * time.Millisecond)
			answers := make(chan int32, 10*partitions)
			for i := range int32(partitions) {
				w.ProposeISR(flight(w, i), func(replica.ProposalAnswer) { answers <- i })
			}
			time.Sleep(ends)
			w.stop()
			w.tasks.Wait()
			synctest.Wait()
			close(answers)
			times := make([]int, partitions)
			for i := range answers {
				times[i]++
			}
			for i, n := range times {
				if n != 1 {
					t.Fatalf("Run ended after %v: the proposal for partition %d was answered %d times", ends, i, n)
				}
			}
		})
	}
}

// flight proposes an ISR of one more replica.
func flight(w *world, partition int32) replica.Proposal {
	topic, _ := w.Image().Topic("flights")
	return replica.Proposal{
		TopicPartition: protocol.TopicPartition{Topic: "flights", Partition: partition}, TopicID: topic.ID,
		ISR: []replica.Member{{ID: 1, BrokerEpoch: -1}, {ID: 2, BrokerEpoch: -1}},
	}
}

// TestProposalsInOneRequest: as many as fit.
func TestProposalsInOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var sizes []int
		next := w.deps.Send
		w.deps.Send = func(ctx context.Context, node int32, req kmsg.Request) (kmsg.Response, error) {
			if alter, is := req.(*kmsg.AlterPartitionRequest); is {
				sizes = append(sizes, len(alter.Topics[0].Partitions))
			}
			return next(ctx, node, req)
		}
		w.others(2)
		w.topic("flights", 2500, []int32{1})
		time.Sleep(100 * time.Millisecond)
		for i := range int32(2500) {
			w.ProposeISR(flight(w, i), func(replica.ProposalAnswer) {})
		}
		w.start()
		time.Sleep(100 * time.Millisecond)
		w.stop()
		w.tasks.Wait()
		if len(sizes) != 3 || sizes[0] != 1000 || sizes[1] != 1000 || sizes[2] != 500 {
			t.Errorf("2500 proposals went out in requests of %v", sizes)
		}
	})
}

// TestRegistered: only an image that shows this start of the process says what the
// broker leads.
func TestRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.double()
		time.Sleep(100 * time.Millisecond)
		if w.Registered(w.Image()) {
			t.Error("another incarnation's registration was taken for this one's")
		}
		if w.BrokerEpoch() != -1 {
			t.Errorf("the epoch is %d without a registration", w.BrokerEpoch())
		}
		w.mu.Lock()
		w.liveness.Suspect(self, time.Now().Add(-time.Hour))
		w.mu.Unlock()
		w.start()
		time.Sleep(100 * time.Millisecond)
		if !w.Registered(w.Image()) || w.BrokerEpoch() != 2 {
			t.Errorf("registered with epoch 2, but: %v, epoch %d", w.Registered(w.Image()), w.BrokerEpoch())
		}
		w.stop()
		w.tasks.Wait()
	})
}
