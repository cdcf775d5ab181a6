//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/test/history"
)

// changes makes and deletes topics and alters configs without end, and knows how
// all that may be found after a restart. A topic is a register: it is absent
// (0), then there (1), then deleted (2); no name is used twice.
type changes struct {
	admin      *kadm.Client
	checker    *history.Checker
	configured string // the topic whose config changes

	mu sync.Mutex
	// Guarded by mu.
	partitions map[string]int // of each topic that was asked for
	doomed     map[string]bool
}

const absent, there, deleted = 0, 1, 2

func newChanges(admin *kadm.Client, c *history.Checker, configured string) *changes {
	return &changes{admin: admin, checker: c, configured: configured, partitions: map[string]int{}, doomed: map[string]bool{}}
}

// changeLimit bounds one request; the broker may be down for most of that time.
const changeLimit = 20 * time.Second

// run makes one change after the other until ctx ends.
func (c *changes) run(ctx context.Context) error {
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		if err := c.step(n); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (c *changes) step(n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), changeLimit)
	defer cancel()
	if err := c.create(ctx, topicName(n), 1+n%3); err != nil {
		return err
	}
	if err := c.configure(ctx, int64(n)); err != nil {
		return err
	}
	if n > 3 && n%4 != 0 {
		return c.remove(ctx, topicName(n-3))
	}
	return nil
}

func topicName(n int) string { return fmt.Sprintf("made-%d", n) }

// insist asks again where the broker went away before it answered. It returns nil
// or the broker's answer, except where ctx ended.
func insist(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		var answer *kerr.Error
		if err == nil || errors.As(err, &answer) || ctx.Err() != nil {
			return err
		}
	}
}

func (c *changes) create(ctx context.Context, topic string, partitions int) error {
	c.mu.Lock()
	c.partitions[topic] = partitions
	c.mu.Unlock()
	c.checker.Asked("topic "+topic, there)
	err := insist(ctx, func() error {
		_, err := c.admin.CreateTopic(ctx, int32(partitions), 1, nil, topic)
		return err
	})
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) { // the answer to the first try may be lost
		return fmt.Errorf("create %s: %w", topic, err)
	}
	c.checker.Confirmed("topic "+topic, there)
	return nil
}

func (c *changes) remove(ctx context.Context, topic string) error {
	c.mu.Lock()
	c.doomed[topic] = true
	c.mu.Unlock()
	c.checker.Asked("topic "+topic, deleted)
	err := insist(ctx, func() error {
		_, err := c.admin.DeleteTopic(ctx, topic)
		return err
	})
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("delete %s: %w", topic, err)
	}
	c.checker.Confirmed("topic "+topic, deleted)
	return nil
}

// The config that changes grows from a base on, far beyond what takes effect.
const (
	configKey  = "retention.ms"
	configBase = int64(1) << 50
)

func (c *changes) register() string { return fmt.Sprintf("%s of %s", configKey, c.configured) }

func (c *changes) configure(ctx context.Context, value int64) error {
	c.checker.Asked(c.register(), value)
	text := strconv.FormatInt(configBase+value, 10)
	err := insist(ctx, func() error {
		_, err := c.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: configKey, Value: &text}}, c.configured)
		return err
	})
	if err != nil {
		return fmt.Errorf("alter %s of %s: %w", configKey, c.configured, err)
	}
	c.checker.Confirmed(c.register(), value)
	return nil
}

// look compares what the broker has with what it confirmed.
func (c *changes) look(ctx context.Context) error {
	floors := c.floors()
	var topics kadm.TopicDetails
	err := insist(ctx, func() (err error) {
		topics, err = c.admin.ListTopics(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	for topic, floor := range floors {
		c.checker.Looked("topic "+topic, floor, c.stateOf(topic, topics))
	}
	return c.lookAtConfig(ctx)
}

func (c *changes) floors() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	floors := map[string]int64{}
	for topic := range c.partitions {
		floors[topic] = c.checker.Floor("topic " + topic)
	}
	return floors
}

// stateOf says how a topic was found. One that has not all of its partitions is
// not there.
func (c *changes) stateOf(topic string, topics kadm.TopicDetails) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, has := topics[topic]
	switch {
	case has && found.Err == nil && len(found.Partitions) == c.partitions[topic]:
		return there
	case !has && c.doomed[topic]:
		return deleted
	default:
		return absent
	}
}

func (c *changes) lookAtConfig(ctx context.Context) error {
	floor := c.checker.Floor(c.register())
	var found kadm.ResourceConfigs
	err := insist(ctx, func() (err error) {
		found, err = c.admin.DescribeTopicConfigs(ctx, c.configured)
		return err
	})
	if err != nil {
		return fmt.Errorf("describe the configs of %s: %w", c.configured, err)
	}
	resource, err := found.On(c.configured, nil)
	if err != nil {
		return fmt.Errorf("describe the configs of %s: %w", c.configured, err)
	}
	for _, config := range resource.Configs {
		if config.Key != configKey {
			continue
		}
		value, err := strconv.ParseInt(config.MaybeValue(), 10, 64)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", configKey, c.configured, err)
		}
		c.checker.Looked(c.register(), floor, max(0, value-configBase))
	}
	return nil
}
