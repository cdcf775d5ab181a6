package broker

import (
	"context"
	"fmt"
	"sync"

	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/cluster/quorum"
)

// producerIDs are the producer ids that the controller gave this broker and that
// no producer has yet.
type producerIDs struct {
	quorum *quorum.Quorum

	mu sync.Mutex
	// Guarded by mu.
	next, end int64
}

// take returns an id that no producer of the cluster has had. It may wait for the
// quorum.
func (p *producerIDs) take() (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == p.end {
		var first int64
		_, err := p.quorum.Propose(context.Background(), func(img *metadata.Image) (records []metadata.Record, err error) {
			records, first, err = (&controller.Controller{}).AllocateProducerIDs(img)
			return records, err
		})
		if err != nil {
			return -1, fmt.Errorf("get producer ids: %w", err)
		}
		p.next, p.end = first, first+controller.ProducerIDBlock
	}
	p.next++
	return p.next - 1, nil
}
