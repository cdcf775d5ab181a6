package log

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// ofEpoch is a batch of one record at an offset, as its leader has it.
func ofEpoch(t *testing.T, offset int64, epoch int32) record.Batch {
	t.Helper()
	b := record.NewBuilder()
	b.BaseOffset, b.LeaderEpoch = offset, epoch
	b.Append(testTime.UnixMilli(), nil, []byte("value"))
	return mustBuild(t, b)
}

// A leader whose epoch is past appends no more, whether this log is led from here
// again or follows.
func TestPastLeaderAppendsNothing(t *testing.T) {
	l := openTestLog(t, openTestDir(t, disk.NewMemory(), "data"), testConfig())
	l.BeginEpoch(5)
	for epoch, want := range map[int32]error{4: kerr.NotLeaderForPartition, 5: nil} {
		if _, err := l.Append(testBatch(t, 1, 10, testTime.UnixMilli()), AppendOptions{Now: testTime, LeaderEpoch: epoch}); !errors.Is(err, want) {
			t.Errorf("epoch %d: %v, want %v", epoch, err, want)
		}
	}
	l.FollowEpoch(6)
	if _, err := l.Append(testBatch(t, 1, 10, testTime.UnixMilli()), AppendOptions{Now: testTime, LeaderEpoch: 5}); !errors.Is(err, kerr.NotLeaderForPartition) {
		t.Errorf("a leader appends to a log that follows another: %v", err)
	}
	if l.End() != 1 {
		t.Errorf("the log ends at %d", l.End())
	}
}

// A log that led without appending, and then copies what is of an epoch before,
// knows that epoch; after a power cut too, though a checkpoint had written the other.
func TestEmptyEpochGivesWay(t *testing.T) {
	m := disk.NewMemory()
	d := openTestDir(t, m, "data")
	l := openTestLog(t, d, testConfig())
	mustReplicate(t, l, []record.Batch{ofEpoch(t, 0, 3)})
	l.BeginEpoch(5)
	if err := d.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	l.FollowEpoch(6)
	mustReplicate(t, l, []record.Batch{ofEpoch(t, 1, 4), ofEpoch(t, 2, 6)})
	if err := l.flushOnce(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for offset, want := range []int32{3, 4, 6} {
			if got := l.EpochAt(int64(offset)); got != want {
				t.Errorf("offset %d is of epoch %d, want %d", offset, got, want)
			}
		}
		l = openTestLog(t, openTestDir(t, m.Crash(rand.New(rand.NewPCG(1, 1))), "data"), testConfig())
	}
}

// Where a power cut takes the log's start back, the epochs of what is there again
// are known: a follower is told where it differs.
func TestEpochsReachBackToTheStart(t *testing.T) {
	m := disk.NewMemory()
	d := openTestDir(t, m, "data")
	l := openTestLog(t, d, testConfig())
	mustReplicate(t, l, []record.Batch{ofEpoch(t, 0, 3), ofEpoch(t, 1, 4), ofEpoch(t, 2, 4)})
	if err := d.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := l.AdvanceStart(2); err != nil {
		t.Fatal(err)
	}
	l = openTestLog(t, openTestDir(t, m.Crash(rand.New(rand.NewPCG(1, 1))), "data"), testConfig())
	if l.Start() != 0 {
		t.Fatalf("the start did not go back: %d", l.Start())
	}
	if epoch, end := l.EndOffsetForEpoch(3); epoch != 3 || end != 1 {
		t.Errorf("epoch %d ends at %d, want 3 at 1", epoch, end)
	}
}
