//go:build cluster

package cluster

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/history"
)

// pulse is an idempotent producer that sends a record every 10 ms to a partition
// with acks=all, and knows for how long none was acknowledged.
type pulse struct {
	t       *testing.T
	cluster *brokers.Cluster
	target  protocol.TopicPartition
	checker *history.Checker
	calm    func()
	ended   chan error

	mu sync.Mutex
	// Guarded by mu.
	last    time.Time     // of an acknowledgement
	longest time.Duration // between two of them, since the last mark
	acked   int           // since the last mark
}

// pulseKind is the kind of producer that a pulse of franz-go is.
const pulseKind = 0

// newPulse returns a pulse without a producer.
func newPulse(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition) *pulse {
	p := &pulse{t: t, cluster: c, target: tp, checker: history.NewChecker(pulseKind), ended: make(chan error, 1)}
	p.mark()
	return p
}

// hasty are options of a client that gives up a node that does not answer, as one
// that hangs: franz-go waits 20 s for the answer to a produce otherwise, and 10 s for
// others. What failed it sends to the same node again, without asking anew who leads,
// so it must ask by itself now and then; and it opens the node's connection twice for
// each request that is under way, one after the other, so that there must be only one.
var hasty = []kgo.Opt{
	kgo.MaxProduceRequestsInflightPerBroker(1),
	kgo.MetadataMaxAge(250 * time.Millisecond),
	kgo.ProduceRequestTimeout(500 * time.Millisecond),
	kgo.RequestTimeoutOverhead(overhead()),
	kgo.DialTimeout(500 * time.Millisecond),
}

// overhead is how much longer than it was told to a node may take to answer.
func overhead() time.Duration {
	if apache {
		return 250 * time.Millisecond
	}
	return 100 * time.Millisecond
}

func startPulse(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition, opts ...kgo.Opt) *pulse {
	t.Helper()
	p := newPulse(t, c, tp)
	producer := history.NewProducer(t, pulseKind, c.Seeds(), p.checker, []protocol.TopicPartition{tp}, p.ack, opts...)
	producer.Burst = 1
	ctx, calm := context.WithCancel(context.Background())
	p.calm = calm
	t.Cleanup(calm)
	go func() { p.ended <- producer.Run(ctx, rand.New(rand.NewPCG(1, 1))) }()
	p.awaitSteady()
	return p
}

func (p *pulse) ack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.longest = max(p.longest, now.Sub(p.last))
	p.last, p.acked = now, p.acked+1
}

// mark begins a measurement.
func (p *pulse) mark() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.longest, p.acked = time.Now(), 0, 0
}

// gap is the longest time without an acknowledgement since the last mark.
func (p *pulse) gap() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.longest, time.Since(p.last))
}

// steady are so many acknowledgements that those of requests which were under way
// before are among them, and at least one second's.
const steady = 100

// awaitSteady waits until the producer goes on.
func (p *pulse) awaitSteady() {
	p.t.Helper()
	p.mu.Lock()
	from := p.acked
	p.mu.Unlock()
	must(p.t, eventually(p.t.Context(), func() error {
		select {
		case err := <-p.ended:
			p.ended <- err
			p.t.Fatalf("the producer has ended: %v", err)
		default:
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.acked < from+steady {
			return errNotYet
		}
		return nil
	}))
}

// during returns the longest time without an acknowledgement from when something
// is done until the producer goes on.
func (p *pulse) during(do func()) time.Duration {
	p.t.Helper()
	p.mark()
	do()
	p.awaitSteady()
	return p.gap()
}

// stop ends the producer and reads all again.
func (p *pulse) stop() {
	p.t.Helper()
	p.end()
	history.ReadAll(p.t, p.cluster.Seeds(), p.checker, []protocol.TopicPartition{p.target})
	report(p.t, p.checker)
}

// end ends the producer.
func (p *pulse) end() {
	p.t.Helper()
	p.calm()
	if err := <-p.ended; err != nil {
		p.t.Error(err)
	}
}

// report fails the test with what a checker found, and where it had nothing to
// check.
func report(t *testing.T, c *history.Checker) {
	t.Helper()
	for _, anomaly := range c.Anomalies() {
		t.Error("what a log may not do: ", anomaly)
	}
	tally := c.Tally()
	if tally.Acked == 0 {
		t.Error("nothing was checked")
	}
	t.Logf("%d records, %d acknowledged", tally.Records, tally.Acked)
}
