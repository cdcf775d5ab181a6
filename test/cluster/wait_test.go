//go:build cluster

package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// errNotYet says that something asked for has not come yet.
var errNotYet = errors.New("not yet")

// patience bounds how long a cluster may take to heal. It takes far less; other
// work may share the machine.
const patience = time.Minute

// eventually tries until it works.
func eventually(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ignoreUnknown returns what was refused of a deletion, except that a topic is gone
// already: an answer to an earlier try may be lost.
func ignoreUnknown(answers kadm.DeleteTopicResponses) error {
	for _, answer := range answers {
		if answer.Err != nil && !errors.Is(answer.Err, kerr.UnknownTopicOrPartition) {
			return answer.Err
		}
	}
	return nil
}
