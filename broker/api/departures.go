package api

import (
	"context"
	"sync"
	"time"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// Departures is what a node knows of others that are going away without a word, for
// what it tells clients meanwhile. A client that loses its leader asks at once who
// leads now, before anybody could decide it; one that is told of the dead leader again
// may wait for a second until it asks once more. So the answer waits for the decision.
//
// For some time after it a broker that is gone is still told of as one of the
// cluster's: librdkafka (2.10 and later) leaves a partition without a broker, and its
// records where they are, when one and the same answer names another leader and no
// longer the broker that led. Kafka tells of a dead broker for its whole session.
//
// Its methods may be called by any goroutine.
type Departures struct {
	mu sync.Mutex
	// Guarded by mu.
	doubts  map[int32]doubt     // nodes that hung up, until it is known what became of them
	up      map[int32]bool      // brokers that are not fenced
	mourned map[int32]time.Time // brokers that were fenced, and until when they are told of
}

// doubt is that a node may be gone.
type doubt struct {
	until   time.Time
	decided chan struct{} // closed when it is known
}

const (
	// doubtPatience is how long an answer waits for what is decided about a node. A
	// process that is gone is fenced within a tenth of a second, or two where there has
	// to be another active controller first.
	doubtPatience = 500 * time.Millisecond
	// mourning is long enough for clients that use a partition to ask once who leads it.
	mourning = 3 * time.Second
)

// NewDepartures returns what knows of none.
func NewDepartures() *Departures {
	return &Departures{doubts: map[int32]doubt{}, up: map[int32]bool{}, mourned: map[int32]time.Time{}}
}

// HungUp notes that a connection to a node ended, or could not be made. A node of which
// nothing was decided in time is doubted again only when it was reached in between.
func (d *Departures) HungUp(node int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, doubted := d.doubts[node]; !doubted {
		d.doubts[node] = doubt{time.Now().Add(doubtPatience), make(chan struct{})}
	}
}

// Reached notes that a connection to a node was made.
func (d *Departures) Reached(node int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.decided(node)
}

// MetadataChanged takes up what was decided about brokers.
func (d *Departures) MetadataChanged(img *metadata.Image, changed []int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range changed {
		b, found := img.Broker(id)
		up := found && !b.Fenced
		switch {
		case up || !found:
			delete(d.mourned, id)
		case d.up[id]:
			d.mourned[id] = time.Now().Add(mourning)
		}
		if !up {
			d.decided(id)
		}
		d.up[id] = up
	}
}

// decided ends the doubt about a node. The caller holds mu.
func (d *Departures) decided(node int32) {
	if doubt, doubted := d.doubts[node]; doubted {
		close(doubt.decided)
		delete(d.doubts, node)
	}
}

// mourns reports whether a fenced broker is still told of.
func (d *Departures) mourns(node int32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Before(d.mourned[node])
}

// await waits while a node that led is doubted, and ctx lasts.
func (d *Departures) await(ctx context.Context, leads func(node int32) bool) {
	for {
		wait, found := d.doubted(leads)
		if !found {
			return
		}
		timer := time.NewTimer(time.Until(wait.until))
		select {
		case <-wait.decided:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// doubted returns a doubt about one of the nodes for which leads is true.
func (d *Departures) doubted(leads func(node int32) bool) (doubt, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for node, doubt := range d.doubts {
		if time.Now().Before(doubt.until) && leads(node) {
			return doubt, true
		}
	}
	return doubt{}, false
}
