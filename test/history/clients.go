package history

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Patience are options of clients that outlive a broker that comes and goes.
func Patience(seeds []string, more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(seeds...),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RetryTimeout(time.Minute),
		kgo.RequestRetries(1000),
		kgo.AlwaysRetryEOF(), // a broker that is killed as it takes a connection is no sign of wrong credentials
	}, more...)
}

// NewClient returns a client that is closed when the test ends.
func NewClient(t testing.TB, opts []kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.CloseAllowingRebalance)
	return cl
}

// Refusal returns what the broker or the client's own checks have against a
// fetch, and not that the broker went away.
func Refusal(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		var answer *kerr.Error
		var lost *kgo.ErrDataLoss
		var session *kgo.ErrGroupSession
		if errors.As(e.Err, &session) {
			continue // the member joins its group anew
		}
		if errors.As(e.Err, &answer) && !answer.Retriable || errors.As(e.Err, &lost) {
			return fmt.Errorf("%s-%d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	return nil
}
