package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// How long a broker may take to accept a connection, and to answer a question
// that is not about records.
const (
	dialTimeout  = 5 * time.Second
	adminTimeout = 30 * time.Second
)

// connect makes a client that tells the user of brokers that do not answer.
func (e *environment) connect(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	return e.dial(ctx, append([]kgo.Opt{kgo.WithHooks(&outage{env: e})}, opts...)...)
}

// dial makes a client and proves that a broker answers, so that a wrong address is
// told at once and in plain words. The caller closes the client.
func (e *environment) dial(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	brokers := splitList(strings.Join(e.brokers, ","))
	if len(brokers) == 0 {
		return nil, errors.New("no broker is named. Name one with --brokers host:port")
	}
	for _, broker := range brokers {
		if _, address, found := strings.Cut(broker, "://"); found {
			return nil, fmt.Errorf("a broker is written host:port, not %s. Try --brokers %s", broker, address)
		}
	}
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(brokers...),
		kgo.ClientID("klamm"),
		kgo.SoftwareNameAndVersion("klamm", softwareVersion()),
		kgo.DialTimeout(dialTimeout),
		kgo.RetryTimeout(adminTimeout),
		kgo.DisableClientMetrics(),
	}, opts...)
	client, err := kgo.NewClient(append(opts, e.options...)...)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", strings.Join(e.brokers, ","), err)
	}
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, e.unreachable(ctx, err)
	}
	return client, nil
}

// unreachable says that no broker answers, and what to do about it.
func (e *environment) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, refusal := range []*kerr.Error{kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism} {
		if errors.Is(err, refusal) {
			return fmt.Errorf("the broker at %s does not let this client in: %w", strings.Join(e.brokers, ","), err)
		}
	}
	return fmt.Errorf("no broker answers at %s: %s. Start one with `klamm serve`, or name another with --brokers",
		strings.Join(e.brokers, ","), reason(err, ""))
}

// admin is a client for questions about the cluster. The caller closes it.
func (e *environment) admin(ctx context.Context) (*kadm.Client, error) {
	client, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(client), nil
}

// withClient runs fn with a client.
func (e *environment) withClient(ctx context.Context, fn func(*kgo.Client) error) error {
	client, err := e.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return fn(client)
}

// withAdmin runs fn with a client for questions about the cluster.
func (e *environment) withAdmin(ctx context.Context, fn func(*kadm.Client) error) error {
	admin, err := e.admin(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	return fn(admin)
}
