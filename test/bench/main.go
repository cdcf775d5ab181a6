// Command bench measures Klamm and Apache Kafka on this machine and writes the
// table of the README, between the lines <!-- bench --> and <!-- /bench -->.
//
// Both brokers run at the same time, and one at a time gets load, in turns: the
// same requests, encoded beforehand. The first round warms up disk, page cache
// and JVM and does not count; the figures are the medians of the others. Klamm
// flushes before it acknowledges, as it does by default; Kafka, as it comes, does
// not.
//
// It takes about ten minutes and needs Java and Maven besides Go.
//
// With -cluster it measures clusters of three nodes instead, with topics of three
// replicas, and writes between <!-- bench-cluster --> and <!-- /bench-cluster -->.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/klamm-io/klamm/test/bench/readme"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	rounds := flag.Int("rounds", 4, "rounds of each load, of which the first does not count")
	length := flag.Duration("for", 4*time.Second, "how long each load lasts")
	clusters := flag.Bool("cluster", false, "measure clusters of three nodes")
	file := flag.String("readme", "README.md", "the file, from the top of the tree, that gets the table; empty for none")
	flag.Parse()
	if *rounds < 2 {
		return fmt.Errorf("-rounds=%d: the first does not count, so there must be two", *rounds)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	m := &measurement{rounds: *rounds, length: *length}
	measure, mark := m.all, "bench"
	if *clusters {
		measure, mark = m.clusters, "bench-cluster"
	}
	if err := measure(ctx); err != nil {
		return err
	}
	table := m.table()
	fmt.Print("\n", table)
	return readme.Put(*file, mark, table)
}
