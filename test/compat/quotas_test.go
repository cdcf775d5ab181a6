//go:build compat

package compat

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/klamm-io/klamm/test/brokers"
)

// TestProducerPerfKeepsItsQuota: Apache's producer, which sends as fast as it may, sends as
// fast as its quota allows, and Apache's tool that sets quotas says how fast that is.
func TestProducerPerfKeepsItsQuota(t *testing.T) {
	box := tools(t)
	b, err := brokers.Klamm(brokers.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	startBroker(t, b)
	at := []string{"--bootstrap-server", b.Addr}
	box.MustRun(t, "topics", append(at, "--create", "--topic", "t", "--partitions", "2")...)
	perf := []string{"--topic", "t", "--num-records", "12000", "--record-size", "1000", "--throughput", "-1",
		"--producer-props", "bootstrap.servers=" + b.Addr, "client.id=perf", "batch.size=16384"}
	free := time.Now()
	box.MustRun(t, "producer-perf-test", perf...)
	unbound := time.Since(free)
	box.MustRun(t, "configs", append(at, "--alter", "--add-config", "producer_byte_rate=500000", "--entity-type", "clients", "--entity-name", "perf")...)
	printed := box.MustRun(t, "producer-perf-test", perf...)
	// 12 MB, of which ten windows' worth is free at the start.
	rate := regexp.MustCompile(`12000 records sent, ([0-9.]+) records/sec`).FindStringSubmatch(printed)
	if rate == nil {
		t.Fatalf("the tool says %s", printed)
	}
	if perSecond, _ := strconv.ParseFloat(rate[1], 64); perSecond > 1100 || perSecond < 350 {
		t.Errorf("%v KB/s at a quota of 500; without one it took %s in all", perSecond, unbound)
	}
}
