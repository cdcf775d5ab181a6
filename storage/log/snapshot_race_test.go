package log

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klamm-io/klamm/storage/disk"
)

// snapshotsFS calls writing whenever a producers' snapshot begins to be written.
type snapshotsFS struct {
	disk.FS
	writing func()
}

func (f *snapshotsFS) OpenFile(name string) (disk.File, error) {
	if strings.HasSuffix(name, ".snapshot.tmp") {
		f.writing()
	}
	return f.FS.OpenFile(name)
}

// TestSnapshotOfCheckpointAndRoll has a segment roll at the offset of a
// checkpoint while that writes its snapshot: the two write the same file, so one
// must wait for the other.
func TestSnapshotOfCheckpointAndRoll(t *testing.T) {
	const patience = 50 * time.Millisecond // for what must not come
	first, second := make(chan struct{}), make(chan struct{}, 1)
	var begun atomic.Int32
	fs := &snapshotsFS{FS: disk.NewMemory()}
	fs.writing = func() {
		if begun.Add(1) > 1 {
			second <- struct{}{}
			return
		}
		close(first)
		select {
		case <-second:
			t.Error("a snapshot is written twice at once")
		case <-time.After(patience):
		}
	}
	d := openTestDir(t, fs, "/d")
	c := testConfig()
	c.SegmentBytes = 100 // a batch
	l := openTestLog(t, d, c)
	mustAppend(t, l, testBatch(t, 1, 10, testTime.UnixMilli()))
	checkpointed := make(chan error, 1)
	go func() { checkpointed <- d.Checkpoint() }()
	<-first
	mustAppend(t, l, testBatch(t, 1, 10, testTime.UnixMilli()))
	if err := <-checkpointed; err != nil {
		t.Error(err)
	}
	if n := l.Segments(); n != 2 || begun.Load() != 2 {
		t.Errorf("%d segments, %d snapshots written", n, begun.Load())
	}
}
