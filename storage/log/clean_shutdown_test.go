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
