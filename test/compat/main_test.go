//go:build compat

package compat

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/test/brokers"
)

// shared is the broker that all tests of clients talk to; nil until one asks.
var shared *brokers.Broker

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run ends the shared broker and removes its folder when the tests are done.
func run(m *testing.M) (status int) {
	dir, err := os.MkdirTemp("", "klamm-compat-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	scratch = dir
	defer func() {
		if shared != nil {
			if err := shared.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				status = 1
			}
			if status != 0 {
				fmt.Fprintf(os.Stderr, "the end of the broker's log:\n%s", shared.Output())
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		fmt.Print(&asked)
	}()
	return m.Run()
}

// sharedSettings let groups of the new protocol go through many steps in a short
// time: the broker says how often members speak.
var sharedSettings = map[string]string{
	"auto.create.topics.enable":                "false",
	"group.consumer.min.heartbeat.interval.ms": "100",
	"group.consumer.heartbeat.interval.ms":     "500",
	"group.consumer.assignment.interval.ms":    "100",
}

// scratch is the folder of the shared broker.
var scratch string

// newBroker makes a broker that clients are tested with.
func newBroker(o brokers.Options) (*brokers.Broker, error) {
	if os.Getenv("KLAMM_COMPAT_BROKER") == "apache" {
		return brokers.Apache(o)
	}
	return brokers.Klamm(o)
}

var startShared = sync.OnceValue(func() error {
	b, err := newBroker(brokers.Options{Dir: scratch, Settings: sharedSettings})
	if err != nil {
		return err
	}
	shared = b
	return b.Start(context.Background())
})

// broker returns the broker that the tests of clients share.
func broker(t *testing.T) *brokers.Broker {
	t.Helper()
	if err := startShared(); err != nil {
		t.Fatal(err)
	}
	return shared
}

// admin returns an admin client of the shared broker.
func admin(t *testing.T) *kadm.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker(t).Addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

// createTopic makes a topic and waits until it has its leaders.
func createTopic(t *testing.T, topic string, partitions int32) {
	t.Helper()
	createTopicWith(t, topic, partitions, nil)
}

func createTopicWith(t *testing.T, topic string, partitions int32, configs map[string]*string) {
	t.Helper()
	adm := admin(t)
	if _, err := adm.CreateTopic(t.Context(), partitions, 1, configs, topic); err != nil {
		t.Fatalf("create %s: %v", topic, err)
	}
	if err := awaitLeaders(t.Context(), adm, topic, int(partitions)); err != nil {
		t.Fatal(err)
	}
}

func awaitLeaders(ctx context.Context, adm *kadm.Client, topic string, partitions int) error {
	for {
		topics, err := adm.ListTopics(ctx, topic)
		if err != nil {
			return err
		}
		led := 0
		for _, p := range topics[topic].Partitions {
			if p.Err == nil && p.Leader >= 0 {
				led++
			}
		}
		if led == partitions {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
