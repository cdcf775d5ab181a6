//go:build cluster

package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
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
