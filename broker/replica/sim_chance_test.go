package replica

import (
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/klamm-io/klamm/storage/disk"
)

// chance is where all chance of a history comes from. Each use has a stream of its
// own, named after who asks for what: so one that asks once more, because the runtime
// let it run earlier, does not change what all others are given.
//
// That, and one processor, make a seed mean the same history in most runs, but not in
// all: at one instant of a bubble's time several goroutines may be ready, and in which
// order they run, which case a select takes and in which order a map is gone through
// is the runtime's choice, which no test can make. The history is the same up to there.
type chance struct {
	seed uint64

	mu      sync.Mutex
	streams map[string]*rand.Rand // guarded by mu
}

func newChance(seed uint64) *chance { return &chance{seed: seed, streams: map[string]*rand.Rand{}} }

// pick returns a number from 0 up to but not including n.
func (c *chance) pick(who string, n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream(who).IntN(n)
}

// millis returns a time of less than n milliseconds. No two are the same to the
// nanosecond, so that no two goroutines wake at the same instant.
func (c *chance) millis(who string, n int) time.Duration {
	return time.Duration(c.pick(who, n*int(time.Millisecond)))
}

// stream returns the numbers that one use is given. The caller holds mu, or is the
// only one with that name.
func (c *chance) stream(who string) *rand.Rand {
	r := c.streams[who]
	if r == nil {
		name := fnv.New64a()
		_, _ = name.Write([]byte(who))
		r = rand.New(rand.NewPCG(c.seed, name.Sum64()))
		c.streams[who] = r
	}
	return r
}

// yieldingDisk is a disk before each operation on which other goroutines may run.
type yieldingDisk struct {
	disk.FS
	chance *chance
	who    string
}

func (d yieldingDisk) yield() {
	for range d.chance.pick(d.who, 4) {
		runtime.Gosched()
	}
}

func (d yieldingDisk) OpenFile(name string) (disk.File, error) {
	d.yield()
	f, err := d.FS.OpenFile(name)
	if err != nil {
		return nil, err
	}
	return yieldingFile{File: f, disk: d}, nil
}

func (d yieldingDisk) Remove(name string) error {
	d.yield()
	return d.FS.Remove(name)
}

func (d yieldingDisk) RemoveAll(name string) error {
	d.yield()
	return d.FS.RemoveAll(name)
}

func (d yieldingDisk) Rename(from, to string) error {
	d.yield()
	return d.FS.Rename(from, to)
}

func (d yieldingDisk) SyncDir(name string) error {
	d.yield()
	return d.FS.SyncDir(name)
}

type yieldingFile struct {
	disk.File
	disk yieldingDisk
}

func (f yieldingFile) ReadAt(p []byte, off int64) (int, error) {
	f.disk.yield()
	return f.File.ReadAt(p, off)
}

func (f yieldingFile) WriteAt(p []byte, off int64) (int, error) {
	f.disk.yield()
	return f.File.WriteAt(p, off)
}

func (f yieldingFile) Truncate(size int64) error {
	f.disk.yield()
	return f.File.Truncate(size)
}

func (f yieldingFile) Sync() error {
	f.disk.yield()
	return f.File.Sync()
}
