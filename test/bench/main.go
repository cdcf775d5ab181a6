// Command bench measures Klamm and Apache Kafka on this machine and writes the
// table of the README, between the lines <!-- bench --> and <!-- /bench -->.
//
// Both brokers run at the same time, and one at a time gets load, in turns: the
// same requests, encoded beforehand. The first round warms up disk, page cache
// and JVM and does not count; the figures are the medians of the others. Klamm
// flushes before it acknowledges, as it does by default; Kafka, as it comes, does
// not.
//
// The floor (test/bench/floor) does the least that a broker must do with a load, in the
// same rounds.
//
// With -only it measures loads whose names match, also such as the README does not
// tell. With -check it measures Klamm and the floor alone, and fails where a load takes
// more of the floor's CPU than baseline.json says, by more than noise.
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
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/klamm-io/klamm/test/bench/readme"
	"github.com/klamm-io/klamm/test/brokers"
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
	only := flag.String("only", "", "measure only the loads whose names match this expression; those that begin with \"wider\" are not in the README")
	picture := flag.String("svg", "", "a file, from the top of the tree, that gets a picture of medians and spread")
	check := flag.Bool("check", false, "measure Klamm and the floor alone, and fail where a load takes more CPU than the baseline says")
	write := flag.Bool("write", false, "with -check: write the baseline")
	flag.Parse()
	if *rounds < 2 {
		return fmt.Errorf("-rounds=%d: the first does not count, so there must be two", *rounds)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	m := &measurement{rounds: *rounds, length: *length}
	if *only != "" {
		var err error
		if m.only, err = regexp.Compile(*only); err != nil {
			return fmt.Errorf("-only: %w", err)
		}
		*file = ""
	}
	if *check {
		return m.check(ctx, *write)
	}
	measure, mark := m.all, "bench"
	if *clusters {
		measure, mark = m.clusters, "bench-cluster"
	}
	if err := measure(ctx); err != nil {
		return err
	}
	table := m.table()
	fmt.Print("\n", table)
	if *picture != "" {
		if err := draw(*picture, m.svg()); err != nil {
			return err
		}
	}
	return readme.Put(*file, mark, table)
}

// draw writes a file below the top of the tree.
func draw(name, svg string) error {
	tree, err := brokers.Tree()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(tree, name), []byte(svg), 0o644)
}
