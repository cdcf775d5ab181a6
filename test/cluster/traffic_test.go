//go:build cluster

package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/history"
)

// traffic is clients at work: producers of every kind that waits for all replicas,
// a reader, and members of consumer groups.
type traffic struct {
	t       *testing.T
	cluster *brokers.Cluster
	checker *history.Checker
	targets []protocol.TopicPartition
	acked   atomic.Int64
	groups  []string
	members int
	calm    context.CancelFunc
	working sync.WaitGroup
	failed  chan error
}

func startTraffic(t *testing.T, c *brokers.Cluster, targets []protocol.TopicPartition) *traffic {
	t.Helper()
	ctx, calm := context.WithCancel(context.Background())
	t.Cleanup(calm)
	tr := &traffic{
		t: t, cluster: c, checker: history.NewChecker(history.IdempotentKinds()...), targets: targets, calm: calm, failed: make(chan error, 100),
	}
	for id, kind := range history.Kinds {
		if !kind.AllReplicas {
			continue
		}
		p := history.NewProducer(t, id, c.Seeds(), tr.checker, targets, func() { tr.acked.Add(1) }, hasty...)
		tr.work(func() error { return p.Run(ctx, rand.New(rand.NewPCG(1, uint64(id)))) })
	}
	reader := history.NewReader(t, c.Seeds(), targets, hasty...)
	tr.work(func() error { return history.Read(ctx, reader, "the reader", tr.checker, nil) })
	topics := map[string]bool{}
	for _, tp := range targets {
		topics[tp.Topic] = true
	}
	for topic := range topics {
		for range 2 {
			tr.join(ctx, "readers of "+topic, topic)
			tr.join(ctx, "new readers of "+topic, topic, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
		}
	}
	tr.awaitProgress()
	return tr
}

// join lets a member join a group, of the old protocol unless opts say otherwise. It
// waits longer for answers than others do: what it asks of a coordinator that hangs
// would else be asked again before that one is replaced, and the first commit could be
// heard after the second.
func (tr *traffic) join(ctx context.Context, group, topic string, opts ...kgo.Opt) {
	name := fmt.Sprintf("member %d of %s", tr.members, group)
	tr.members++
	opts = append(opts, kgo.RequestTimeoutOverhead(5*time.Second), kgo.RebalanceTimeout(5*time.Second))
	m := history.NewMember(tr.t, name, group, tr.cluster.Seeds(), tr.checker, []string{topic}, opts...)
	if !slices.Contains(tr.groups, group) {
		tr.groups = append(tr.groups, group)
	}
	tr.work(func() error { return m.Run(ctx) })
}

// work runs a client and keeps its error.
func (tr *traffic) work(client func() error) {
	tr.working.Go(func() {
		if err := client(); err != nil {
			tr.failed <- err
		}
	})
}

// awaitProgress waits until producers are acknowledged again, and looks at what
// groups have committed.
func (tr *traffic) awaitProgress() {
	tr.t.Helper()
	before := tr.acked.Load()
	err := eventually(tr.t.Context(), func() error {
		if tr.acked.Load() < before+50 {
			return errNotYet
		}
		return nil
	})
	tr.reportFailures()
	if err != nil {
		tr.t.Fatalf("producers do not go on: %v", err)
	}
}

// committed is how far a group has come, over all partitions, as it was confirmed.
func (tr *traffic) committed(group string) (offsets int64) {
	for _, tp := range tr.targets {
		offsets += tr.checker.Floor(history.OffsetOf(group, tp))
	}
	return offsets
}

// awaitCommits waits until a group goes on: its members read, and their coordinator
// confirms what they commit. Three times, since each of two members may have an answer
// under way from before.
func (tr *traffic) awaitCommits(group string) {
	tr.t.Helper()
	for range 3 {
		before := tr.committed(group)
		err := eventually(tr.t.Context(), func() error {
			if tr.committed(group) == before {
				return errNotYet
			}
			return nil
		})
		tr.reportFailures()
		if err != nil {
			tr.t.Fatalf("%s do not go on: %v", group, err)
		}
	}
}

// look compares what the cluster says of the groups with what it confirmed.
func (tr *traffic) look() {
	tr.t.Helper()
	adm := admin(tr.t, tr.cluster)
	for _, group := range tr.groups {
		must(tr.t, eventually(tr.t.Context(), func() error { return history.LookAtGroup(tr.t.Context(), adm, tr.checker, group, tr.targets) }))
	}
}

func (tr *traffic) reportFailures() {
	for {
		select {
		case err := <-tr.failed:
			tr.t.Error(err)
		default:
			return
		}
	}
}

// stop lets all clients end and reads all again.
func (tr *traffic) stop() {
	tr.t.Helper()
	tr.calm()
	tr.working.Wait()
	tr.reportFailures()
	tr.look()
	history.ReadAll(tr.t, tr.cluster.Seeds(), tr.checker, tr.targets)
	report(tr.t, tr.checker)
	if tr.checker.Tally().Confirmed == 0 {
		tr.t.Error("no group committed anything")
	}
}
