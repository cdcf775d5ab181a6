// Command compaction measures how Klamm and Apache Kafka compact one large log, one
// broker after the other, and checks what is left.
//
// Each broker is given records of random keys, 10 million of a million keys by
// default, in a topic that is not compacted yet. Then min.cleanable.dirty.ratio is
// lowered, and the time counts until the log is compacted, while a producer goes
// on and a reader reads it from its start again and again. In the end the newest
// value of each key is compared with a map of all that was sent.
//
// Memory is what no file stands behind, at its peak while the log is compacted,
// and at rest before. It takes a few minutes and needs Java and Maven besides Go.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/klamm-io/klamm/test/bench/readme"
	"github.com/klamm-io/klamm/test/brokers"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench compaction:", err)
		os.Exit(1)
	}
}

func run() error {
	load := load{}
	flag.IntVar(&load.records, "records", 10_000_000, "how many records are written")
	flag.IntVar(&load.keys, "keys", 1_000_000, "of how many keys")
	flag.IntVar(&load.valueBytes, "value-bytes", 100, "size of a value, 8 at least")
	only := flag.String("broker", "", "klamm or apache; empty for both")
	file := flag.String("readme", "README.md", "the file, from the top of the tree, that gets the table of both; empty for none")
	flag.Parse()
	if load.records < 1 || load.keys < 1 || load.valueBytes < 8 {
		return fmt.Errorf("-records=%d -keys=%d -value-bytes=%d: too few", load.records, load.keys, load.valueBytes)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	table := []string{load.title()}
	for _, start := range []func(brokers.Options) (*brokers.Broker, error){brokers.Klamm, brokers.Apache} {
		row, err := measure(ctx, start, *only, load)
		if err != nil {
			return err
		}
		fmt.Print(row)
		table = append(table, row)
	}
	if *only != "" {
		return nil
	}
	return readme.Put(*file, "compaction", strings.Join(table, ""))
}

// title says what is compacted, and heads the columns.
func (l load) title() string {
	return fmt.Sprintf("| compaction of %s records over %s keys | took | MB/s | CPU s/GB | memory at its peak | at rest | records left |\n|---|---|---|---|---|---|---|\n",
		millions(l.records), millions(l.keys))
}

// millions shows a number as people say it.
func millions(n int) string {
	if n%1_000_000 == 0 {
		return strconv.Itoa(n/1_000_000) + " million"
	}
	return strconv.Itoa(n)
}

// limit bounds the whole.
const limit = 15 * time.Minute

// measure writes, lets a broker compact, checks, and returns a line of the table.
func measure(ctx context.Context, start func(brokers.Options) (*brokers.Broker, error), only string, load load) (string, error) {
	dir, err := os.MkdirTemp("", "klamm-bench-compaction-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is a temporary folder
	b, err := start(brokers.Options{Dir: dir, Settings: map[string]string{"log.cleaner.backoff.ms": "100"}})
	if err != nil || only != "" && b.Name != only {
		return "", err
	}
	if err := b.Start(ctx); err != nil {
		return "", err
	}
	defer func() { _ = b.Kill() }() // its data goes anyway
	r, err := compactLog(ctx, b, load)
	if err != nil {
		return "", fmt.Errorf("%s: %w", b.Name, err)
	}
	mb := float64(r.bytes) / 1e6
	return fmt.Sprintf("| %s | %.1f s | %.0f | %.1f | %d MB | %d MB | %d |\n", names[b.Name], r.took.Seconds(), mb/r.took.Seconds(),
		r.cpu.Seconds()/(mb/1000), r.peak>>20, r.rest>>20, r.left), nil
}

// names are the brokers' as people know them.
var names = map[string]string{"klamm": "Klamm", "apache": "Apache Kafka 4.3.1"}
