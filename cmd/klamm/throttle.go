package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/health"
)

// Configs by which Kafka slows replicas down: brokers have the rates, and topics say
// which of their replicas these are about. Replicas that are in sync never wait.
var (
	throttledRates    = []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate"}
	throttledReplicas = []string{"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"}
)

// allReplicas is the value of throttledReplicas for all of a topic.
const allReplicas = "*"

// throttle slows down what replicas copy.
type throttle struct {
	admin *kadm.Client
	rate  int64           // bytes a second that each broker may receive and send; 0: as they are
	set   map[string]bool // topics whose replicas are slowed down
	// patience is how long a broker may take to show that it knows its rates.
	patience time.Duration
}

// slowBrokers sets the rates of all brokers that are up, and makes sure that they are
// taken: a cluster may take a config that it does not know.
func (t *throttle) slowBrokers(ctx context.Context, f *health.Facts) error {
	if t.rate == 0 {
		return nil
	}
	text := strconv.FormatInt(t.rate, 10)
	var set []kadm.AlterConfig
	for _, key := range throttledRates {
		set = append(set, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &text})
	}
	for _, id := range upBrokers(f) {
		if err := brokerTarget(id).alter(ctx, t.admin, set, false); err != nil {
			return fmt.Errorf("set the throttle: %w", err)
		}
	}
	for _, id := range upBrokers(f) {
		if err := t.awaitSlow(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// awaitSlow waits until a broker shows that its rates are set: it hears of it a little
// later than the controller.
func (t *throttle) awaitSlow(ctx context.Context, broker int32) error {
	until := time.Now().Add(t.patience)
	for {
		keys, err := configsSet(ctx, t.admin, brokerTarget(broker), throttledRates)
		switch {
		case err != nil:
			return fmt.Errorf("see whether the throttle is set: %w", err)
		case len(keys) == len(throttledRates):
			return nil
		case time.Now().After(until):
			return fmt.Errorf("broker %d does not slow replicas down (leader.replication.throttled.rate): leave out --throttle, and bound with --at-once how many partitions are on their way at a time", broker)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// brokerTarget are the configs of one broker.
func brokerTarget(id int32) configTarget {
	return configTarget{kind: kindBroker, name: itoa(id), broker: []int32{id}}
}

// slowTopics lets the rates count for topics that are to move.
func (t *throttle) slowTopics(ctx context.Context, moves []assignment) error {
	all := allReplicas
	for _, m := range moves {
		if t.rate == 0 || t.set[m.Topic] {
			continue
		}
		var set []kadm.AlterConfig
		for _, key := range throttledReplicas {
			set = append(set, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &all})
		}
		if err := (configTarget{kind: kindTopic, name: m.Topic}).alter(ctx, t.admin, set, false); err != nil {
			return fmt.Errorf("set the throttle: %w", err)
		}
		t.set[m.Topic] = true
	}
	return nil
}

// lift takes a throttle away that this run or an earlier one set, and says whether
// there was one. Nothing may be on its way any more.
func (t *throttle) lift(ctx context.Context, f *health.Facts) (lifted bool, err error) {
	var targets []configTarget
	for _, id := range upBrokers(f) {
		targets = append(targets, brokerTarget(id))
	}
	for i := range f.Partitions {
		if f.Partitions[i].Partition == 0 {
			targets = append(targets, configTarget{kind: kindTopic, name: f.Partitions[i].Topic})
		}
	}
	for _, target := range targets {
		keys, err := configsSet(ctx, t.admin, target, slices.Concat(throttledRates, throttledReplicas))
		if err != nil {
			return lifted, fmt.Errorf("look for a throttle: %w", err)
		}
		var drop []kadm.AlterConfig
		for _, key := range keys {
			drop = append(drop, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key})
		}
		if len(drop) == 0 {
			continue
		}
		if err := target.alter(ctx, t.admin, drop, false); err != nil {
			return lifted, fmt.Errorf("take the throttle away: %w", err)
		}
		lifted = true
	}
	return lifted, nil
}

// configsSet returns which of the keys are set on the target itself, a topic's only
// where they are about all its replicas, as it is done here.
func configsSet(ctx context.Context, admin *kadm.Client, target configTarget, keys []string) (set []string, err error) {
	configs, err := target.describe(ctx, admin)
	for _, c := range configs {
		own := c.Source == kmsg.ConfigSourceDynamicBrokerConfig || c.Source == kmsg.ConfigSourceDynamicTopicConfig && c.MaybeValue() == allReplicas
		if own && slices.Contains(keys, c.Key) {
			set = append(set, c.Key)
		}
	}
	return set, err
}

func upBrokers(f *health.Facts) (ids []int32) {
	for _, b := range f.Brokers {
		if !b.Fenced {
			ids = append(ids, b.ID)
		}
	}
	return ids
}

var rateText = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([kMGT]?)(i?)B?(?:/s)?$`)

// parseRate reads bytes a second: 500000, 10MB, 10MB/s, 1.5GiB.
func parseRate(text string) (int64, error) {
	m := rateText.FindStringSubmatch(text)
	if m == nil {
		return 0, errors.New("it is a number of bytes a second, as 10MB or 500kB")
	}
	n, err := strconv.ParseFloat(m[1], 64)
	base := 1000.0
	if m[3] != "" {
		base = 1024
	}
	for _, unit := range "kMGT" {
		if m[2] == "" {
			break
		}
		n *= base
		if string(unit) == m[2] {
			break
		}
	}
	if err != nil || n < 1 || n > 1e15 {
		return 0, errors.New("it is from 1 byte a second on")
	}
	return int64(n), nil
}
