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
	"syscall"
	"time"

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
	flag.Parse()
	if load.records < 1 || load.keys < 1 || load.valueBytes < 8 {
		return fmt.Errorf("-records=%d -keys=%d -value-bytes=%d: too few", load.records, load.keys, load.valueBytes)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	fmt.Printf("%-8s %10s %10s %10s %12s %12s %12s %14s\n", "broker", "bytes", "took", "MB/s", "CPU s/GB", "memory MB", "at rest MB", "records left")
	for _, start := range []func(brokers.Options) (*brokers.Broker, error){brokers.Klamm, brokers.Apache} {
		if err := measure(ctx, start, *only, load); err != nil {
			return err
		}
	}
	return nil
}

// limit bounds the whole.
const limit = 15 * time.Minute

// measure writes, lets a broker compact, checks, and prints a line.
func measure(ctx context.Context, start func(brokers.Options) (*brokers.Broker, error), only string, load load) error {
	dir, err := os.MkdirTemp("", "klamm-bench-compaction-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is a temporary folder
	b, err := start(brokers.Options{Dir: dir, Settings: map[string]string{"log.cleaner.backoff.ms": "100"}})
	if err != nil || only != "" && b.Name != only {
		return err
	}
	if err := b.Start(ctx); err != nil {
		return err
	}
	defer func() { _ = b.Kill() }() // its data goes anyway
	r, err := compactLog(ctx, b, load)
	if err != nil {
		return fmt.Errorf("%s: %w", b.Name, err)
	}
	mb := float64(r.bytes) / 1e6
	fmt.Printf("%-8s %10d %10s %10.1f %12.2f %12d %12d %14d\n", b.Name, r.bytes, r.took.Round(10*time.Millisecond), mb/r.took.Seconds(),
		r.cpu.Seconds()/(mb/1000), r.peak>>20, r.rest>>20, r.left)
	return nil
}
