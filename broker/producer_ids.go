package broker

import (
	"context"
	"fmt"
	"sync"

	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
)

// producerIDs are the producer ids that the controller gave this broker and that
// no producer has yet.
type producerIDs struct {
	more func(context.Context) (first, end int64, err error) // asks the active controller

	mu sync.Mutex
	// Guarded by mu.
	next, end int64
}

// take returns an id that no producer of the cluster has had. It may wait for the
// active controller.
func (p *producerIDs) take() (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == p.end {
		first, end, err := p.more(context.Background())
		if err != nil {
			return -1, fmt.Errorf("get producer ids: %w", err)
		}
		p.next, p.end = first, end
	}
	p.next++
	return p.next - 1, nil
}

// allocateProducerIDs decides here on the next producer ids.
func (b *Broker) allocateProducerIDs(ctx context.Context) (first, end int64, err error) {
	_, err = b.quorum.Propose(ctx, func(img *metadata.Image) (records []metadata.Record, err error) {
		records, first, err = (&controller.Controller{}).AllocateProducerIDs(img)
		return records, err
	})
	return first, first + controller.ProducerIDBlock, err
}
