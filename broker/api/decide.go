package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// Cluster is where the metadata comes from and where decisions are taken: at the
// active controller, which may be this node or another.
type Cluster interface {
	// Image is the metadata as far as this node knows.
	Image() *metadata.Image
	// Applied is the offset up to which this node knows it.
	Applied() int64
	// Decides reports whether this node is the active controller, or about to be.
	Decides() bool
	// Propose takes a decision here; NOT_CONTROLLER where another node is the active
	// controller.
	Propose(ctx context.Context, decide func(*metadata.Image) ([]metadata.Record, error)) (*metadata.Image, error)
	// Ask sends a request to the active controller and waits for its answer, and until
	// this node knows of what was decided.
	Ask(ctx context.Context, req kmsg.Request) (kmsg.Response, error)
}

// decisionPatience is how long a request waits for an active controller where there
// is none, or where it changes.
const decisionPatience = 30 * time.Second

// asSent is a request that goes on at the version at which it came, by which it is
// judged.
type asSent struct{ kmsg.Request }

// SetVersion does nothing.
func (asSent) SetVersion(int16) {}

// decide answers a request that changes the metadata. Where this node is the active
// controller, here decides; else the request goes there as it is. Whether the
// client may ask for it was looked at before: the active controller takes a node's
// word for that.
func decide[R kmsg.Response](h *Handler, req kmsg.Request, here func(*metadata.Image) ([]metadata.Record, R)) (resp R, err error) {
	ctx, cancel := context.WithTimeout(h.serving, decisionPatience)
	defer cancel()
	if h.cluster.Decides() {
		// A stop waits for it: what is decided here takes a moment, and is answered.
		_, err = h.cluster.Propose(context.WithoutCancel(ctx), func(img *metadata.Image) (records []metadata.Record, err error) {
			records, resp = here(img)
			return records, nil
		})
		if !errors.Is(err, kerr.NotController) {
			return resp, err
		}
	}
	if h.forControllers {
		return resp, fmt.Errorf("node %d is not the active controller: %w", h.config.NodeID, kerr.NotController) // who asked asks on
	}
	return askedElsewhere[R](ctx, h, req)
}

// askedElsewhere lets the active controller answer, which is another node.
func askedElsewhere[R kmsg.Response](ctx context.Context, h *Handler, req kmsg.Request) (resp R, err error) {
	answer, err := h.cluster.Ask(ctx, asSent{req})
	if err != nil {
		return resp, err
	}
	resp, is := answer.(R)
	if !is {
		return resp, fmt.Errorf("the active controller answered with %T: %w", answer, kerr.UnknownServerError)
	}
	return resp, nil
}
