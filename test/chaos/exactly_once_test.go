//go:build chaos

package chaos

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/copier"
)

// copyKills is how often a copier or its broker is killed, unless CHAOS_ROUNDS says
// otherwise.
const copyKills = 30

func TestMain(m *testing.M) { copier.Main(m) }

// TestExactlyOnce copies all flights from one topic into another in transactions,
// while now the copier and now the broker is killed. Readers of committed records
// find each flight exactly once.
func TestExactlyOnce(t *testing.T) {
	seed := number(t, "CHAOS_SEED", int(time.Now().UnixNano()%1_000_000))
	rounds := number(t, "CHAOS_ROUNDS", copyKills)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("run it again with CHAOS_SEED=%d CHAOS_ROUNDS=%d", seed, rounds)
		}
	})
	b := startKlamm(t, map[string]string{
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
		"log.flush.offset.checkpoint.interval.ms":                     "500",
		"log.segment.bytes":                    "4194304",
		"offsets.topic.num.partitions":         "4",
		"transaction.state.log.num.partitions": "4",
	})
	rng := rand.New(rand.NewPCG(uint64(seed), 2))
	c, flights := copier.New(t, b.Seeds(), 1), copier.Flights(t)
	for round := range rounds {
		c.Feed(flights[round*len(flights)/rounds : (round+1)*len(flights)/rounds])
		time.Sleep(time.Duration(rng.Int64N(int64(500 * time.Millisecond))))
		if round%2 == 0 {
			c.Kill()
		} else {
			killAndStart(t, b)
		}
	}
	c.AwaitCopied()
	c.Check()
	wantNoErrors(t, b)
	t.Logf("seed %d: %d flights, %d kills of the copier, %d of the broker; %d records were written for them in all",
		seed, len(flights), c.Kills, rounds-c.Kills, c.Written)
}

func killAndStart(t *testing.T, b *brokers.Broker) {
	t.Helper()
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}
