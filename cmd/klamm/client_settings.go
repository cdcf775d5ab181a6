package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// clientSetting turns the value of one of Kafka's client configs into an option.
type clientSetting func(value string) (kgo.Opt, error)

// clientSettings are the configs that -X takes, by the names that Kafka's own
// clients have for them, or librdkafka.
var clientSettings = map[string]clientSetting{
	"client.id":                     text(kgo.ClientID),
	"client.rack":                   text(func(v string) kgo.Opt { return kgo.Rack(v) }),
	"metadata.max.age.ms":           milliseconds(kgo.MetadataMaxAge),
	"linger.ms":                     milliseconds(func(d time.Duration) kgo.Opt { return kgo.ProducerLinger(d) }),
	"max.request.size":              number(func(n int32) kgo.Opt { return kgo.ProducerBatchMaxBytes(n) }),
	"message.max.bytes":             number(func(n int32) kgo.Opt { return kgo.ProducerBatchMaxBytes(n) }),
	"fetch.min.bytes":               number(func(n int32) kgo.Opt { return kgo.FetchMinBytes(n) }),
	"fetch.max.bytes":               number(func(n int32) kgo.Opt { return kgo.FetchMaxBytes(n) }),
	"max.partition.fetch.bytes":     number(func(n int32) kgo.Opt { return kgo.FetchMaxPartitionBytes(n) }),
	"fetch.max.wait.ms":             milliseconds(func(d time.Duration) kgo.Opt { return kgo.FetchMaxWait(d) }),
	"group.instance.id":             text(func(v string) kgo.Opt { return kgo.InstanceID(v) }),
	"session.timeout.ms":            milliseconds(func(d time.Duration) kgo.Opt { return kgo.SessionTimeout(d) }),
	"heartbeat.interval.ms":         milliseconds(func(d time.Duration) kgo.Opt { return kgo.HeartbeatInterval(d) }),
	"max.poll.interval.ms":          milliseconds(func(d time.Duration) kgo.Opt { return kgo.RebalanceTimeout(d) }),
	"isolation.level":               isolationLevel,
	"partition.assignment.strategy": balancer,
}

func text[O kgo.Opt](option func(string) O) clientSetting {
	return func(value string) (kgo.Opt, error) {
		if value == "" {
			return nil, errors.New("it is empty")
		}
		return option(value), nil
	}
}

func number(option func(int32) kgo.Opt) clientSetting {
	return func(value string) (kgo.Opt, error) {
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || n < 1 {
			return nil, errors.New("it is a number from 1 on")
		}
		return option(int32(n)), nil
	}
}

func milliseconds[O kgo.Opt](option func(time.Duration) O) clientSetting {
	return func(value string) (kgo.Opt, error) {
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || n < 0 {
			return nil, errors.New("it is a number of milliseconds")
		}
		return option(time.Duration(n) * time.Millisecond), nil
	}
}

const readCommitted = "read_committed"

func isolationLevel(value string) (kgo.Opt, error) {
	switch value {
	case readCommitted:
		return kgo.FetchIsolationLevel(kgo.ReadCommitted()), nil
	case "read_uncommitted":
		return kgo.FetchIsolationLevel(kgo.ReadUncommitted()), nil
	}
	return nil, errors.New("it is read_committed or read_uncommitted")
}

func balancer(value string) (kgo.Opt, error) {
	known := map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
		"sticky": kgo.StickyBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer(),
	}
	if b, found := known[value]; found {
		return kgo.Balancers(b), nil
	}
	return nil, fmt.Errorf("it is one of %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
}

// addClientFlag adds -X, which kcat and rpk have too.
func addClientFlag(env *environment, root *cobra.Command) {
	root.PersistentFlags().StringArrayVarP(&env.client, "client", "X", nil, "set a config of the client, `KEY=VALUE`, by Kafka's name for it; may be repeated")
	var keys []string
	for _, name := range clientKeys() {
		keys = append(keys, name+"=")
	}
	must(root.RegisterFlagCompletionFunc("client", cobra.FixedCompletions(keys, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)))
}

// clientOptions turns what -X said into the client's options.
func (e *environment) clientOptions(cmd *cobra.Command) ([]kgo.Opt, error) {
	var opts []kgo.Opt
	secured := newClientSecurity()
	pairs, err := e.clientPairs()
	if err != nil {
		return nil, err
	}
	for _, pair := range pairs {
		key, value, found := strings.Cut(pair, "=")
		setting, known := clientSettings[key]
		is, wrong := secured.take(key, value)
		switch {
		case wrong != nil:
			return nil, badUsage(cmd, "-X %s: %v", key, wrong)
		case is && found:
			continue
		case !found:
			return nil, badUsage(cmd, "-X %s: it is written KEY=VALUE, as in -X client.id=me", pair)
		case !known:
			names := clientKeys()
			return nil, badUsage(cmd, "-X %s is no config of a client that is known here.%s There are %s", key, didYouMean(key, names), strings.Join(names, ", "))
		}
		opt, err := setting(value)
		if err != nil {
			return nil, badUsage(cmd, "-X %s: %v", pair, err)
		}
		opts = append(opts, opt)
	}
	if err := e.addLogin(cmd, &secured); err != nil {
		return nil, err
	}
	more, err := secured.options()
	if err != nil {
		return nil, fmt.Errorf("secure the client: %w", err)
	}
	return append(opts, more...), nil
}

// readsCommitted says whether records of open and aborted transactions are left
// out.
func (e *environment) readsCommitted() bool {
	return slices.Contains(e.client, "isolation.level="+readCommitted)
}
