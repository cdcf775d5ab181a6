package config

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// Cleaner is how logs are compacted.
type Cleaner struct {
	Threads        int
	DedupeBytes    int64   // of all threads
	LoadFactor     float64 // above 0, at most 1
	IOBufferBytes  int     // of all threads
	BytesPerSecond float64 // of all threads
	Backoff        time.Duration
}

// Cleaner resolves how logs are compacted: what was set at run time, for this
// broker over for all, over what the broker was started with.
func (b *Broker) Cleaner(everyBroker map[string]string) Cleaner {
	at := &Broker{values: maps.Clone(b.values)}
	for name, v := range everyBroker {
		if strings.HasPrefix(name, "log.cleaner.") {
			at.values[name] = v
		}
	}
	return Cleaner{
		Threads:        int(at.int("log.cleaner.threads")),
		DedupeBytes:    at.int("log.cleaner.dedupe.buffer.size"),
		LoadFactor:     at.float("log.cleaner.io.buffer.load.factor"),
		IOBufferBytes:  int(at.int("log.cleaner.io.buffer.size")),
		BytesPerSecond: at.float("log.cleaner.io.max.bytes.per.second"),
		Backoff:        at.ms("log.cleaner.backoff.ms"),
	}
}

func (b *Broker) float(name string) float64 {
	f, _ := strconv.ParseFloat(strings.TrimSpace(b.value(name)), 64)
	return f
}

// leastDedupe is the least memory for keys that a thread may have.
const leastDedupe = 1 << 20

// checkCleaner makes sure that each thread has memory to work with. Of values
// that are not set the defaults count.
func checkCleaner(values map[string]string) error {
	c := (&Broker{values: values}).Cleaner(nil)
	if c.Threads > 0 && c.DedupeBytes/int64(c.Threads) < leastDedupe {
		return fmt.Errorf("log.cleaner.dedupe.buffer.size is %d for %d threads of log.cleaner.threads: each needs %d bytes at least",
			c.DedupeBytes, c.Threads, leastDedupe)
	}
	if c.LoadFactor <= 0 {
		return fmt.Errorf("log.cleaner.io.buffer.load.factor is %v: nothing could be compacted", c.LoadFactor)
	}
	return nil
}
