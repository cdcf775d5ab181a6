package replica

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// A leader that is elected again begins a term in which the follower must be told what
// it was told in the one before, because it may not have heard that: a session only
// tells what is news.
func TestSessionOfATermBeforeTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := NewSet()
		tp, l := openFlights(t, disk.NewMemory(), 0, true)
		p := set.AddReplica(tp, flightsID, l)
		tp, l = openFlights(t, disk.NewMemory(), 1, true)
		other := set.AddReplica(tp, flightsID, l) // with which the fetcher, and its session, stay
		requests := make(chan *kmsg.FetchRequest)
		r := NewReplicator(ReplicatorConfig{
			Node: 2, LagMax: time.Second, ProposalBackoff: time.Second, FetchWait: 100 * time.Millisecond, FetchBackoff: 100 * time.Millisecond,
			MinBytes: 1, MaxBytes: 1 << 20, PartitionMaxBytes: 1 << 20,
		}, ReplicatorDeps{
			Send: func(ctx context.Context, _ int32, req kmsg.Request) (kmsg.Response, error) {
				fetch, is := req.(*kmsg.FetchRequest)
				if !is {
					return nil, errors.New("not expected")
				}
				select {
				case requests <- fetch:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				response := kmsg.NewPtrFetchResponse()
				response.SessionID = 9
				return response, nil
			},
			BrokerEpoch: func() int64 { return 1 },
			Throttled:   func(protocol.TopicPartition) time.Duration { return 0 },
			Logger:      slog.New(slog.DiscardHandler),
		})
		a := Assignment{Leader: 1, LeaderEpoch: 3, Replicas: []int32{1, 2}, ISR: []int32{1}, MinISR: 1}
		r.Assign(p, a)
		r.Assign(other, a)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = r.Run(ctx)
		}()
		known := false // by the session
		for range 3 {
			known = knows(t, known, <-requests, 3)
		}
		a.LeaderEpoch = 4
		r.Assign(p, a)
		for range 5 {
			known = knows(t, known, <-requests, 4)
		}
		stop()
		<-done
	})
}

// knows follows whether the leader's session knows the partition. In another epoch than
// the one given it must not be named while it does.
func knows(t *testing.T, known bool, req *kmsg.FetchRequest, epoch int32) bool {
	t.Helper()
	if req.SessionEpoch == 0 || len(req.ForgottenTopics) > 0 {
		known = false
	}
	for _, topic := range req.Topics {
		for _, p := range topic.Partitions {
			if p.Partition != 0 {
				continue
			}
			if known && p.CurrentLeaderEpoch == epoch && req.SessionEpoch > 0 {
				t.Errorf("a session that knows the partition is told of it in epoch %d", epoch)
			}
			known = true
		}
	}
	return known
}
