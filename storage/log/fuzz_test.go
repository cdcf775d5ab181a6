package log

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

const fuzzFolder = "data"

// folderImage is what lies in a folder of logs: names below it, and contents.
type folderImage map[string][]byte

// soundFolder is the folder of a log of several segments that was closed in order,
// with every kind of file, and the batches that it holds.
var soundFolder = sync.OnceValues(func() (folderImage, []record.Batch) {
	m := disk.NewMemory()
	t := &testing.B{}
	d := openTestDir(t, m, fuzzFolder)
	if err := d.Format("AAAAAAAAAAAAAAAAAAAAAQ"); err != nil {
		panic(err)
	}
	c := testConfig()
	c.SegmentBytes, c.IndexIntervalBytes = 3000, 500
	l := openTestLog(t, d, c)
	var batches []record.Batch
	for i := range 24 {
		b := record.NewBuilder()
		b.ProducerID, b.ProducerEpoch, b.BaseSequence = 7, 0, int32(2*i)
		for j := range 2 {
			b.Append(testTime.UnixMilli()+int64(i), fmt.Appendf(nil, "key %d", j), bytes.Repeat([]byte{byte('a' + i)}, 150))
		}
		batch, err := b.Build(nil)
		if err != nil {
			panic(err)
		}
		if _, err := l.Append(batch, AppendOptions{Now: testTime, LeaderEpoch: int32(i / 10)}); err != nil {
			panic(err)
		}
		batches = append(batches, batch)
	}
	if err := d.Close(); err != nil {
		panic(err)
	}
	image := folderImage{}
	readFolder(m, fuzzFolder, image)
	return image, batches
})

func readFolder(m *disk.Memory, path string, into folderImage) {
	entries, err := m.ReadDir(path)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		if e.IsDir() {
			readFolder(m, name, into)
		} else if into[name], err = m.ReadFile(name); err != nil {
			panic(err)
		}
	}
}

// write puts the image on a disk of its own.
func (f folderImage) write() *disk.Memory {
	m := disk.NewMemory()
	for name, content := range f {
		if err := m.Mkdir(filepath.Dir(name)); err != nil {
			panic(err)
		}
		if err := disk.WriteFileAtomic(m, name, content); err != nil {
			panic(err)
		}
	}
	return m
}

// mutation is one change to an image: eight bytes of a fuzzer's input.
type mutation [8]byte

// apply changes the image, and returns the name of the file that it changed.
func (d mutation) apply(f folderImage) string {
	names := slices.Sorted(maps.Keys(f))
	if len(names) == 0 {
		return ""
	}
	name := names[int(d[0])%len(names)]
	content := slices.Clone(f[name])
	at := 0
	if len(content) > 0 {
		at = (int(d[2])<<8 | int(d[3])) % len(content)
	}
	n := int(d[4])
	switch d[1] % 7 {
	case 0: // a byte is another
		if len(content) > 0 {
			content[at] ^= d[5] | 1
		}
	case 1: // the end is missing
		content = content[:at]
	case 2: // a stretch never reached the disk
		clear(content[at:min(len(content), at+n)])
	case 3: // more follows
		content = append(content, bytes.Repeat(d[5:], 1+n/3)...)
	case 4: // the file is gone
		delete(f, name)
		return name
	case 5: // a stretch is there twice
		content = slices.Insert(content, at, content[at:min(len(content), at+n)]...)
	case 6: // it is another file's
		content = slices.Clone(f[names[int(d[5])%len(names)]])
	}
	f[name] = content
	return name
}

// FuzzRecovery opens folders in which anything may have happened to any file. The
// first byte says whether it was closed in order, and whether its checkpoints are
// there. What opens can be read, appended to, closed and opened again; a log whose
// every byte is verified holds nothing but what was written to it, in order.
func FuzzRecovery(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte{3})
	for file := range byte(16) {
		for kind := range byte(7) {
			f.Add(append([]byte{file % 4}, file, kind, 1, 100, 90, 3, 0, 0))
		}
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) == 0 || len(input) > 1+8*6 {
			return
		}
		sound, batches := soundFolder()
		image := maps.Clone(sound)
		verified := input[0]&1 == 0
		if verified {
			delete(image, filepath.Join(fuzzFolder, cleanShutdownFile))
			delete(image, filepath.Join(fuzzFolder, recoveryPointFile))
		} else if input[0]&2 != 0 {
			delete(image, filepath.Join(fuzzFolder, cleanShutdownFile))
		}
		onlyTheLog := true // and nothing that the whole folder depends on
		for rest := input[1:]; len(rest) >= 8; rest = rest[8:] {
			changed := mutation(rest[:8]).apply(image)
			onlyTheLog = onlyTheLog && strings.Contains(changed, testPartition.String()) && filepath.Base(changed) != "partition.metadata"
		}
		reopen(t, image.write(), verified && onlyTheLog, onlyTheLog, batches)
	})
}

// reopen opens the log twice, with appends in between.
func reopen(t *testing.T, m *disk.Memory, verified, mustOpen bool, batches []record.Batch) {
	var end int64
	for round := range 2 {
		d, l, err := tryOpen(m)
		if err != nil {
			if mustOpen || round > 0 {
				t.Fatalf("round %d: %v", round, err)
			}
			return
		}
		if round > 0 && l.End() != end {
			t.Fatalf("the log ended at %d, and opened again at %d", end, l.End())
		}
		expectOnly(t, l, verified && round == 0, batches) // closed in order, it is not verified again
		before := l.End()
		added, err := l.Append(testBatch(t, 1, 10, testTime.UnixMilli()), AppendOptions{Now: testTime, LeaderEpoch: 9})
		if err != nil || added.BaseOffset != before {
			t.Fatalf("append at %d: %+v, %v", before, added, err)
		}
		if got := readBatchAt(t, l, before); got == nil || got.BaseOffset() != before {
			t.Fatalf("what was appended at %d is not there", before)
		}
		batches = append(slices.Clip(batches), readBatchAt(t, l, before))
		end = l.End()
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func tryOpen(m *disk.Memory) (*Dir, *Log, error) {
	d, err := OpenDir(fuzzFolder, DirConfig{NodeID: 1, Flushes: 1, ProducerExpiry: 1 << 62}, Deps{FS: m, Logger: slog.New(slog.DiscardHandler), Observe: &observed{}})
	if err != nil {
		return nil, nil, err
	}
	c := testConfig()
	c.SegmentBytes, c.IndexIntervalBytes = 3000, 500
	l, err := d.Open(testPartition, testTopicID, c)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (and close: %w)", err, d.Close())
	}
	return d, l, nil
}

// unsealed are the first bytes of a batch, which its checksum does not cover.
const unsealed = 16

// expectOnly reads the log from its start, beyond what cannot be read. Where all
// of it was verified, each batch must be one that was written, at its offset.
func expectOnly(t *testing.T, l *Log, verified bool, batches []record.Batch) {
	t.Helper()
	if l.Start() > l.End() {
		t.Fatalf("the log is from %d to %d", l.Start(), l.End())
	}
	written := map[int64]record.Batch{}
	for _, b := range batches {
		written[b.BaseOffset()] = b
	}
	for offset, steps := l.Start(), 0; offset < l.End() && steps < 1000; steps++ {
		b := readBatchAt(t, l, offset)
		next := offset + 1
		if b != nil && b.Verify() == nil {
			next = max(next, b.NextOffset())
		}
		if want := written[offset]; verified && b != nil && b.BaseOffset() == offset && (want == nil || !bytes.Equal(b[unsealed:], want[unsealed:])) {
			t.Fatalf("at %d there is what nobody wrote", offset)
		}
		offset = next
	}
}
