package log

import (
	"log/slog"
	"testing"

	"github.com/klamm-io/klamm/storage/disk"
)

// TestBrokerEpochOutlivesACleanStop: the epoch is there after a stop in order, and
// only once: a process that is killed leaves none.
func TestBrokerEpochOutlivesACleanStop(t *testing.T) {
	fs := disk.NewMemory()
	open := func() *Dir {
		t.Helper()
		d, err := OpenDir("/data", DirConfig{}, Deps{FS: fs, Logger: slog.New(slog.DiscardHandler), Observe: &observed{}})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	want := func(d *Dir, clean bool, epoch int64) {
		t.Helper()
		if d.Clean() != clean || d.CleanBrokerEpoch() != epoch {
			t.Errorf("clean %v with broker epoch %d, want %v with %d", d.Clean(), d.CleanBrokerEpoch(), clean, epoch)
		}
	}
	d := open()
	want(d, false, -1)
	d.SetBrokerEpoch(7)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open()
	want(d, true, 7)
	if err := d.unlock(); err != nil { // as if it were killed
		t.Fatal(err)
	}
	d = open()
	want(d, false, -1)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	want(open(), true, -1)
}

// A stop in order, of a process that had not opened a log yet which the stop before
// had left unflushed, says nothing about that log: the next start recovers it.
func TestStopBeforeAllLogsAreRecovered(t *testing.T) {
	m := durableFolder(t)
	l := openTestLog(t, openTestDir(t, m, "data"), testConfig())
	mustAppend(t, l, testBatch(t, 3, 10, testTime.UnixMilli()))
	waitFlushed(t, l)
	m = m.Kill()
	if err := openTestDir(t, m, "data").Close(); err != nil {
		t.Fatal(err)
	}
	d := openTestDir(t, m, "data")
	if d.Clean() {
		t.Error("the folder counts as closed in order")
	}
	if l := openTestLog(t, d, testConfig()); l.End() != 3 || l.EpochAt(2) != 3 {
		t.Errorf("the log ends at %d in epoch %d, want 3 in 3", l.End(), l.EpochAt(2))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if !openTestDir(t, m, "data").Clean() {
		t.Error("all logs were opened, but the stop does not count as one in order")
	}
}
