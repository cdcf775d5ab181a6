package marker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/outbox"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
)

const (
	// The pauses before a marker is tried again. Each is twice the last.
	firstPause, longestPause = 20 * time.Millisecond, time.Second
	// complainAfter is how long markers wait before that is worth a warning.
	complainAfter = 10 * time.Second
)

// Config is who brings markers.
type Config struct {
	Node int32
	// AbsentPatience is how long a partition that the metadata does not have may be
	// one that this node has not heard of yet. After that its topic was deleted.
	AbsentPatience time.Duration
}

// Deps is what the delivery uses.
type Deps struct {
	Image func() *metadata.Image // as this node has it
	// Write writes a marker into a partition that this node leads, and calls done once,
	// on any goroutine, when it is committed or with why it is not.
	Write func(m step.Marker, tp protocol.TopicPartition, done func(error))
	// Send sends a request to another broker and waits for the answer. It returns soon
	// after ctx ended.
	Send   func(ctx context.Context, node int32, req kmsg.Request) (kmsg.Response, error)
	Logger *slog.Logger
}

// Delivery is safe for concurrent use.
type Delivery struct {
	config Config
	deps   Deps
	others *outbox.Outbox[*parcel] // for partitions that other nodes lead
	sooner chan struct{}           // has room for one word that something is due

	mu sync.Mutex
	// Guarded by mu.
	stopped    bool
	waiting    map[*parcel]struct{} // those that are to be tried again
	changes    int                  // of the metadata that were told
	complained time.Time
}

// parcel is a marker for one partition. While it waits it belongs to the holder of
// the delivery's mutex, else to who brings it.
type parcel struct {
	term   context.Context // of the coordinator that wants it brought
	marker step.Marker
	tp     protocol.TopicPartition
	settle func(error) // called once
	since  time.Time

	to    leader        // whom it was for at the last try
	pause time.Duration // before the next
	due   time.Time     // when that is
}

// leader is who leads a partition, in which leader epoch; id is -1 for nobody.
type leader struct{ id, epoch int32 }

// New returns a delivery that sends nothing to other nodes before Run.
func New(c Config, deps Deps) *Delivery {
	d := &Delivery{config: c, deps: deps, sooner: make(chan struct{}, 1), waiting: map[*parcel]struct{}{}}
	d.others = outbox.New(outbox.Config[*parcel]{
		Limit: maxParcels, Patience: sendPatience, Send: d.send, Refuse: func(p *parcel) { p.settle(errStopped) },
	})
	return d
}

// WriteMarkers writes a marker into each of the partitions, wherever they are led, as
// long as term lasts. done is called once, on any goroutine: with those where the
// marker is committed or need not be, and an error if any is missing.
func (d *Delivery) WriteMarkers(term context.Context, m step.Marker, partitions []protocol.TopicPartition, done func([]protocol.TopicPartition, error)) {
	c := collected{left: len(partitions) + 1, done: done}
	for _, tp := range partitions {
		d.bring(&parcel{term: term, marker: m, tp: tp, since: time.Now(), settle: func(err error) { c.add(tp, err) }})
	}
	c.giveUp()
}

// Run brings markers until ctx ends. What is not brought then is refused.
func (d *Delivery) Run(ctx context.Context) error {
	var sends sync.WaitGroup
	sends.Go(func() { _ = d.others.Run(ctx) }) // it returns none
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-timer.C:
		case <-d.sooner:
		case <-ctx.Done():
		}
		due, next := d.takeDue(time.Now())
		for _, p := range due {
			d.bring(p)
		}
		timer.Reset(next)
	}
	sends.Wait()
	d.end()
	return nil
}

// end refuses what is not brought yet, and whatever comes after.
func (d *Delivery) end() {
	d.mu.Lock()
	d.stopped = true
	left := d.waiting
	d.waiting = nil
	d.mu.Unlock()
	for p := range left {
		p.settle(errStopped)
	}
}

var (
	errStopped  = fmt.Errorf("this broker is stopping: %w", kerr.BrokerNotAvailable)
	errTermOver = fmt.Errorf("another coordinator brings it: %w", kerr.NotCoordinator)
	errNoLeader = fmt.Errorf("the partition has no leader: %w", kerr.LeaderNotAvailable)
	errAbsent   = fmt.Errorf("the partition is not known here: %w", kerr.UnknownTopicOrPartition)
)

// takeDue takes out what is to be tried again now, and returns how long it is until
// there is more.
func (d *Delivery) takeDue(now time.Time) (due []*parcel, next time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next = longestPause
	for p := range d.waiting {
		if left := p.due.Sub(now); left > 0 {
			next = min(next, left)
			continue
		}
		delete(d.waiting, p)
		due = append(due, p)
	}
	return due, next
}

// bring makes one try.
func (d *Delivery) bring(p *parcel) {
	to, exists := d.leader(p.tp)
	p.to = to
	switch {
	case p.term.Err() != nil:
		p.settle(errTermOver)
	case !exists && time.Since(p.since) >= d.config.AbsentPatience:
		p.settle(nil)
	case !exists:
		d.wait(p, errAbsent)
	case to.id == d.config.Node:
		d.deps.Write(p.marker, p.tp, func(err error) { d.brought(p, err) })
	case to.id < 0:
		d.wait(p, errNoLeader)
	default:
		d.others.Put(to.id, p)
	}
}

// leader is who leads a partition as far as this node knows.
func (d *Delivery) leader(tp protocol.TopicPartition) (l leader, exists bool) {
	t, found := d.deps.Image().Topic(tp.Topic)
	if !found || int(tp.Partition) >= len(t.Partitions) {
		return leader{id: -1, epoch: -1}, false
	}
	p := &t.Partitions[tp.Partition]
	return leader{id: p.Leader, epoch: p.LeaderEpoch}, true
}

// brought takes in what became of a try.
func (d *Delivery) brought(p *parcel, err error) {
	_, exists := d.leader(p.tp)
	switch {
	case err == nil:
		p.settle(nil)
	case p.marker.Version >= 2 && errors.Is(err, kerr.InvalidProducerEpoch):
		p.settle(nil) // it is there, and its producer went on
	case errors.Is(err, kerr.UnknownTopicOrPartition) && !exists && time.Since(p.since) >= d.config.AbsentPatience:
		p.settle(nil)
	case passes(err):
		d.wait(p, err)
	default:
		p.settle(err)
	}
}

// passes reports whether an error may be over with the next try: a partition is led
// elsewhere, or by nobody, or its leader cannot be reached.
func passes(err error) bool {
	if code := (*kerr.Error)(nil); !errors.As(err, &code) {
		return true // there was no answer
	}
	for _, e := range []error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.ReplicaNotAvailable, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch,
		kerr.UnknownTopicOrPartition, kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress,
		kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.BrokerNotAvailable, kerr.NetworkException,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// wait keeps a parcel for the next try: at once, where another leads than at the last.
func (d *Delivery) wait(p *parcel, why error) {
	d.mu.Lock()
	changes := d.changes
	d.mu.Unlock()
	to, _ := d.leader(p.tp)
	now := time.Now()
	d.mu.Lock()
	if d.stopped {
		d.mu.Unlock()
		p.settle(errStopped)
		return
	}
	p.pause = min(max(firstPause, 2*p.pause), longestPause)
	if to != p.to || d.changes != changes {
		p.pause = 0
	}
	p.due = now.Add(p.pause)
	d.waiting[p] = struct{}{}
	waiting, complain := len(d.waiting), now.Sub(p.since) >= complainAfter && now.Sub(d.complained) >= complainAfter
	if complain {
		d.complained = now
	}
	d.mu.Unlock()
	if complain {
		d.deps.Logger.Warn("transactions are decided and their markers are not all written yet; they are tried on",
			"waiting", waiting, "partition", p.tp.String(), "producer_id", p.marker.ProducerID, "err", why)
	}
	signal(d.sooner)
}

// MetadataChanged lets markers be tried again whose partitions have other leaders
// now, and waits no longer for the answer of a node that was fenced. It does not
// block.
func (d *Delivery) MetadataChanged(img *metadata.Image) {
	d.others.GiveUp(func(node int32) bool {
		b, found := img.Broker(node)
		return !found || b.Fenced
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes++
	for p := range d.waiting {
		if t, found := img.Topic(p.tp.Topic); found && int(p.tp.Partition) < len(t.Partitions) {
			if is := &t.Partitions[p.tp.Partition]; p.to != (leader{id: is.Leader, epoch: is.LeaderEpoch}) {
				p.pause, p.due = 0, time.Time{}
				signal(d.sooner)
			}
		}
	}
}

// signal gives a word to a channel that has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// collected waits for the markers of one transaction.
type collected struct {
	done func([]protocol.TopicPartition, error)

	mu sync.Mutex
	// Guarded by mu.
	left    int
	written []protocol.TopicPartition
	failed  error
}

func (c *collected) add(tp protocol.TopicPartition, err error) {
	c.mu.Lock()
	if err == nil {
		c.written = append(c.written, tp)
	} else {
		c.failed = errors.Join(c.failed, fmt.Errorf("marker in %s: %w", tp, err))
	}
	c.mu.Unlock()
	c.giveUp()
}

// giveUp gives up one share; who gives up the last tells what came of all.
func (c *collected) giveUp() {
	c.mu.Lock()
	c.left--
	last := c.left == 0
	c.mu.Unlock()
	if last {
		c.done(c.written, c.failed)
	}
}
