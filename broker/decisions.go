package broker

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/quorum"
)

// ownDecisions are those of a node that is a cluster of its own: it takes them all.
type ownDecisions struct{ *quorum.Quorum }

// Decides is always true.
func (ownDecisions) Decides() bool { return true }

// Ask has nobody to ask.
func (ownDecisions) Ask(_ context.Context, req kmsg.Request) (kmsg.Response, error) {
	return nil, fmt.Errorf("%s: this node is a cluster of its own, and does not decide: %w", kmsg.NameForKey(req.Key()), kerr.NotController)
}
