package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// counting is a file system that calls out before each change of the disk.
type counting struct {
	disk.FS
	change    func()
	meanwhile func()
}

type countingFile struct {
	disk.File
	change func()
}

func (c counting) OpenFile(name string) (disk.File, error) {
	c.change()
	f, err := c.FS.OpenFile(name)
	return countingFile{f, c.change}, err
}

// Rename lets the folder's own work come in between, as it may at any time.
func (c counting) Rename(from, to string) error {
	if strings.HasSuffix(to, snapshotSuffix) {
		c.meanwhile()
	}
	c.change()
	return c.FS.Rename(from, to)
}

func (c counting) Remove(name string) error  { c.change(); return c.FS.Remove(name) }
func (c counting) SyncDir(name string) error { c.change(); return c.FS.SyncDir(name) }

func (f countingFile) Sync() error { f.change(); return f.File.Sync() }
func (f countingFile) WriteAt(b []byte, off int64) (int, error) {
	f.change()
	return f.File.WriteAt(b, off)
}

// power cuts it before the nth change, in a copy.
type power struct {
	memory   *disk.Memory
	rng      *rand.Rand
	changes  atomic.Int64
	cutAt    int64
	durable  atomic.Int64 // decisions that were acknowledged
	after    *disk.Memory
	promised int64 // decisions that were acknowledged when it was cut
}

func (p *power) change() {
	if p.changes.Add(1) == p.cutAt {
		p.promised = p.durable.Load()
		p.after = p.memory.Crash(p.rng)
	}
}

// TestCrash cuts the power at any change of the disk while decisions are taken
// and snapshots written. What is there afterwards is some first of the
// decisions, with all that were acknowledged among them.
func TestCrash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		p := &power{memory: disk.NewMemory(), rng: rand.New(rand.NewPCG(seed, 0)), cutAt: rapid.Int64Range(1, 400).Draw(t, "cut before change")}
		if err := errors.Join(p.memory.Mkdir("/data"), p.memory.SyncDir("/")); err != nil {
			t.Fatal(err)
		}
		c := Config{NodeID: 1, ClusterID: "c", SegmentBytes: 1 << 10, SnapshotBytes: 512}
		var n *member
		n, err := openNode(counting{p.memory, p.change, func() { n.dir.Checkpoint() }}, c)
		if err != nil {
			t.Fatal(err)
		}
		history := [][]byte{encoded(metadata.Empty()), encoded(n.Image())}
		p.durable.Store(1)
		for i := 0; p.after == nil && i < 1000; i++ {
			img, err := n.Propose(t.Context(), change(t, i))
			if err != nil {
				t.Fatal(err)
			}
			history = append(history, encoded(img))
			p.durable.Add(1)
			n.snapshot()
		}
		n.stop()
		if p.after == nil {
			t.Skip("too few changes")
		}
		requirePrefix(t, p, c, history)
	})
}

// requirePrefix opens the folder twice: what the first found must be durable.
func requirePrefix(t *rapid.T, p *power, c Config, history [][]byte) {
	for _, fsys := range []*disk.Memory{p.after, nil} {
		if fsys == nil {
			fsys = p.after.Crash(p.rng)
		}
		n, err := openNode(fsys, c)
		if err != nil {
			t.Fatalf("after the crash: %v", err)
		}
		got := encoded(n.Image())
		p.after = fsys
		found := max(p.promised, 1) // opening begins a cluster that was lost
		for found < int64(len(history)) && !bytes.Equal(got, history[found]) {
			found++
		}
		if found == int64(len(history)) {
			t.Fatalf("%d decisions were acknowledged; what is there is none of the images since:\n%q", p.promised, got)
		}
		p.promised = found
	}
}

func change(t *rapid.T, i int) func(*metadata.Image) ([]metadata.Record, error) {
	return func(img *metadata.Image) ([]metadata.Record, error) {
		created := &metadata.TopicCreated{Topic: metadata.Topic{Name: fmt.Sprintf("t%d", i), ID: protocol.TopicID{byte(i >> 8), byte(i)},
			Partitions: make([]metadata.Partition, rapid.IntRange(1, 8).Draw(t, "partitions"))}}
		records := []metadata.Record{created, &metadata.ProducerIDsAllocated{Next: int64(i + 1)}}
		for oldest := range img.Topics() {
			if img.NumTopics() > 5 {
				records = append(records, &metadata.TopicDeleted{TopicID: oldest.ID})
			}
			break
		}
		return records, nil
	}
}
