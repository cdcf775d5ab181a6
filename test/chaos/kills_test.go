//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/history"
)

// kills is how often the broker is killed, unless CHAOS_ROUNDS says otherwise.
const kills = 50

// loadTopics are the topics under load, with their partitions.
var loadTopics = map[string]int32{"busy": 3, "narrow": 1, "wide": 6}

// storm is a broker under load that is killed again and again.
type storm struct {
	t       *testing.T
	rng     *rand.Rand
	broker  *brokers.Broker
	checker *history.Checker
	admin   *kadm.Client
	changes *changes
	targets []protocol.TopicPartition
	acked   atomic.Int64
	groups  []string

	killed, stopped, early int // by SIGKILL under load, by SIGTERM, by SIGKILL during recovery
	slowest                time.Duration

	working sync.WaitGroup
	failed  chan error
}

// TestKills kills a broker under load, stops it in order now and then, and kills
// it while it recovers. Nothing that it confirmed may be lost.
func TestKills(t *testing.T) {
	seed := number(t, "CHAOS_SEED", int(time.Now().UnixNano()%1_000_000))
	rounds := number(t, "CHAOS_ROUNDS", kills)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("run it again with CHAOS_SEED=%d CHAOS_ROUNDS=%d", seed, rounds)
		}
	})
	s := newStorm(t, uint64(seed))
	load, calm := context.WithCancel(t.Context())
	defer calm()
	s.begin(load, seed)
	for s.killed+s.early < rounds {
		s.round()
		s.look()
		if t.Failed() {
			break
		}
	}
	calm()
	s.working.Wait()
	s.reportFailures()
	history.ReadAll(s.t, s.broker.Seeds(), s.checker, s.targets)
	if err := s.broker.Stop(); err != nil {
		t.Error(err)
	}
	s.verifyFiles()
	wantNoErrors(t, s.broker)
	s.report(seed)
}

func number(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func newStorm(t *testing.T, seed uint64) *storm {
	b := startKlamm(t, map[string]string{
		"log.segment.bytes":                         "1048576",
		"log.index.interval.bytes":                  "512",
		"log.flush.offset.checkpoint.interval.ms":   "500",
		"log.segment.delete.delay.ms":               "100",
		"auto.create.topics.enable":                 "false",
		"offsets.topic.num.partitions":              "4",
		"max.incremental.fetch.session.cache.slots": "4",
	})
	s := &storm{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), broker: b,
		checker: history.NewChecker(history.IdempotentKinds()...), failed: make(chan error, 100),
	}
	s.admin = kadm.NewClient(history.NewClient(t, history.Patience(b.Seeds())))
	for topic, partitions := range loadTopics {
		if _, err := s.admin.CreateTopic(t.Context(), partitions, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
		for p := range partitions {
			s.targets = append(s.targets, protocol.TopicPartition{Topic: topic, Partition: p})
		}
	}
	s.changes = newChanges(s.admin, s.checker, "narrow")
	return s
}

// startKlamm starts a broker that ends with the test, and shows the end of its
// log where the test fails.
func startKlamm(t *testing.T, settings map[string]string) *brokers.Broker {
	t.Helper()
	b, err := brokers.Klamm(brokers.Options{Dir: t.TempDir(), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			errors, _ := b.Lines("level=ERROR")
			t.Logf("the broker's first errors:\n%s\nthe end of its log:\n%s", strings.Join(errors[:min(10, len(errors))], "\n"), b.Output())
		}
	})
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// begin starts the clients, which work until ctx ends.
func (s *storm) begin(ctx context.Context, seed int) {
	for id := range history.Kinds {
		p := history.NewProducer(s.t, id, s.broker.Seeds(), s.checker, s.targets, func() { s.acked.Add(1) })
		s.work(func() error { return p.Run(ctx, rand.New(rand.NewPCG(uint64(seed), uint64(100+id)))) })
	}
	reader := history.NewReader(s.t, s.broker.Seeds(), s.targets)
	s.work(func() error { return history.Read(ctx, reader, "the reader", s.checker, nil) })
	s.join(ctx, "alone", []string{"busy", "narrow"})
	s.join(ctx, "pair", []string{"wide"})
	s.join(ctx, "pair", []string{"wide"})
	s.work(func() error { return s.changes.run(ctx) })
}

func (s *storm) join(ctx context.Context, group string, topics []string) {
	m := history.NewMember(s.t, fmt.Sprintf("member %d of %s", len(s.groups), group), group, s.broker.Seeds(), s.checker, topics)
	s.groups = append(s.groups, group)
	s.work(func() error { return m.Run(ctx) })
}

// work runs a client and keeps its error.
func (s *storm) work(client func() error) {
	s.working.Go(func() {
		if err := client(); err != nil {
			s.failed <- err
		}
	})
}

// round lets the broker work for a while, ends it, and starts it again.
func (s *storm) round() {
	s.awaitProgress()
	time.Sleep(s.upTo(1200 * time.Millisecond))
	var err error
	if s.rng.IntN(6) == 0 {
		err = s.broker.Stop()
		s.stopped++
	} else {
		err = s.broker.Kill()
		s.killed++
	}
	for range earlyKills[s.rng.IntN(len(earlyKills))] {
		err = errors.Join(err, s.killEarly())
	}
	began := time.Now()
	if err := errors.Join(err, s.broker.Start(s.t.Context())); err != nil {
		s.t.Fatal(err)
	}
	s.slowest = max(s.slowest, time.Since(began))
}

// earlyKills is how often a broker is killed while it recovers from the last kill.
var earlyKills = []int{0, 0, 0, 0, 1, 2}

// upTo returns a time from the seed.
func (s *storm) upTo(most time.Duration) time.Duration {
	return time.Duration(s.rng.Int64N(int64(most)))
}

// killEarly starts the broker and kills it before it is likely to serve.
func (s *storm) killEarly() error {
	if err := s.broker.Launch(); err != nil {
		return err
	}
	time.Sleep(s.upTo(60 * time.Millisecond))
	s.early++
	return s.broker.Kill()
}

// progressLimit bounds how long producers may take to go on after a restart.
const progressLimit = time.Minute

// awaitProgress waits until producers are acknowledged again.
func (s *storm) awaitProgress() {
	before, deadline := s.acked.Load(), time.After(progressLimit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.acked.Load() < before+20 {
		select {
		case <-tick.C:
		case <-deadline:
			s.reportFailures()
			s.t.Fatalf("nothing was acknowledged for %s", progressLimit)
		}
	}
}

// look compares what the broker says of itself with what it confirmed.
func (s *storm) look() {
	ctx, cancel := context.WithTimeout(s.t.Context(), changeLimit)
	defer cancel()
	if err := s.changes.look(ctx); err != nil {
		s.t.Error(err)
	}
	for _, group := range s.groups {
		look := func() error { return history.LookAtGroup(ctx, s.admin, s.checker, group, s.targets) }
		if err := insist(ctx, look); err != nil {
			s.t.Error(err)
		}
	}
	s.reportFailures()
}

// reportFailures fails the test with what clients failed of so far.
func (s *storm) reportFailures() {
	for {
		select {
		case err := <-s.failed:
			s.t.Error(err)
		default:
			return
		}
	}
}

// verifyFiles lets klamm look at every byte that is left on the disk.
func (s *storm) verifyFiles() {
	binary, err := brokers.BuildKlamm()
	if err != nil {
		s.t.Fatal(err)
	}
	if out, err := exec.Command(binary, "log", "verify", s.broker.Data).CombinedOutput(); err != nil {
		s.t.Errorf("klamm log verify: %v\n%s", err, out)
	}
}

// wantNoErrors fails the test where the broker's log tells of an error.
func wantNoErrors(t *testing.T, b *brokers.Broker) {
	t.Helper()
	lines, err := b.Lines("level=ERROR")
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) > 0 {
		t.Errorf("the broker tells of %d errors, first:\n%s", len(lines), lines[0])
	}
}

// report fails the test with what the checker found, and says how much it was.
func (s *storm) report(seed int) {
	if found := s.checker.Anomalies(); len(found) > 0 {
		s.t.Errorf("what a log may not do:\n  %s", strings.Join(found, "\n  "))
	}
	tally := s.checker.Tally()
	s.t.Logf("seed %d: %d times kill -9 under load, %d during recovery, %d SIGTERM; %d records of which %d were acknowledged, %d offsets, topics and configs; "+
		"slowest restart %s", seed, s.killed, s.early, s.stopped, tally.Records, tally.Acked, tally.Confirmed, s.slowest.Round(time.Millisecond))
	if tally.Acked == 0 || tally.Confirmed == 0 {
		s.t.Error("nothing was checked")
	}
}
