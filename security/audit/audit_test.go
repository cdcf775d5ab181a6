package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/storage/disk"
)

const folder = "/audit"

func open(t testing.TB, fsys disk.FS, c Config) *Log {
	t.Helper()
	c.Dir, c.Version = folder, "1.2.3"
	if c.Queue == 0 {
		c.Queue, c.MaxBytes, c.MaxFiles = 1000, 1<<20, 100
	}
	l, err := Open(c, Deps{FS: fsys, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return time.Unix(1, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// finish writes what was recorded, and ends the log.
func finish(t testing.TB, l *Log) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func event(n int) Event {
	return Event{
		Kind: Kind(n % 3), Time: time.UnixMilli(1700000000123), Principal: security.Principal{Type: "User", Name: fmt.Sprint("user-", n)}, Address: "10.0.0.7", Listener: "SSL",
		Protocol: "TLS", API: "CreateTopics", ClientID: "c", Resources: []Resource{{"topic", "orders\n\"x\""}},
	}
}

func verify(t testing.TB, fsys disk.FS) (Totals, []Finding) {
	t.Helper()
	var all []Finding
	totals, err := Verify(fsys, folder, func(f Finding) { all = append(all, f) }, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return totals, all
}

// write fills a log with n events over several runs and small files.
func write(t testing.TB, n int) *disk.Memory {
	fsys := disk.NewMemory()
	for written := 0; written < n; {
		l := open(t, fsys, Config{Queue: 1000, MaxBytes: 2000, MaxFiles: 1000})
		for range min(5, n-written) {
			l.Record(event(written))
			l.write(ptr(<-l.queue))
			written++
		}
		finish(t, l)
	}
	return fsys
}

func ptr[T any](v T) *T { return &v }

// TestWhatIsWritten: a line is one JSON object with the fields that OCSF asks for.
func TestWhatIsWritten(t *testing.T) {
	fsys := disk.NewMemory()
	l := open(t, fsys, Config{})
	refused := event(0)
	refused.Kind, refused.Reason = Denial, "TOPIC_AUTHORIZATION_FAILED"
	l.Record(refused)
	finish(t, l)
	text, err := fsys.ReadFile(filepath.Join(folder, fileName(0)))
	if err != nil {
		t.Fatal(err)
	}
	var told map[string]any
	if err := json.Unmarshal(bytes.TrimSuffix(text, []byte("\n")), &told); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"class_uid": 6003.0, "category_uid": 6.0, "activity_id": 99.0, "type_uid": 600399.0, "severity_id": 3.0, "status_id": 2.0, "time": 1700000000123.0,
		"status_detail": "TOPIC_AUTHORIZATION_FAILED", "action_id": 2.0, "metadata.version": "1.3.0", "metadata.product.version": "1.2.3",
		"actor.user.name": "user-0", "actor.app_name": "c", "api.operation": "CreateTopics", "src_endpoint.ip": "10.0.0.7", "service.name": "SSL", "metadata.sequence": 0.0,
	} {
		at := any(told)
		for part := range strings.SplitSeq(path, ".") {
			at = at.(map[string]any)[part]
		}
		if at != want {
			t.Errorf("%s is %v, want %v in %s", path, at, want, text)
		}
	}
}

// TestEveryChangeShows: whichever byte of a log is another, whichever line is gone, doubled or
// elsewhere, it is found; and a log that nobody touched is sound, over restarts and files.
func TestEveryChangeShows(t *testing.T) {
	const lines = 23
	if totals, found := verify(t, write(t, lines)); len(found) > 0 || totals.Lines != lines || totals.Files < 3 || totals.Last != lines-1 {
		t.Fatalf("%+v %v", totals, found)
	}
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		fsys := write(outer, lines)
		names, _ := fileNames(fsys, folder)
		name := rapid.SampledFrom(names[:len(names)-1]).Draw(t, "file")
		text, _ := fsys.ReadFile(filepath.Join(folder, name))
		all := bytes.SplitAfter(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
		all[len(all)-1] = append(all[len(all)-1:][0], '\n')
		i := rapid.IntRange(0, len(all)-1).Draw(t, "line")
		switch rapid.SampledFrom([]string{"change", "remove", "double", "swap"}).Draw(t, "do") {
		case "change":
			at := rapid.IntRange(0, len(all[i])-2).Draw(t, "at")
			all[i] = bytes.Clone(all[i])
			all[i][at] ^= 1
		case "remove":
			if name == names[0] && i == 0 {
				return // as if the oldest file had been removed
			}
			all = append(all[:i:i], all[i+1:]...)
		case "double":
			all = append(all[:i+1:i+1], all[i:]...)
		case "swap":
			if i == 0 {
				return
			}
			all[i-1], all[i] = all[i], all[i-1]
		}
		if err := disk.WriteFileAtomic(fsys, filepath.Join(folder, name), bytes.Join(all, nil)); err != nil {
			t.Fatal(err)
		}
		if _, found := verify(outer, fsys); len(found) == 0 {
			t.Fatalf("nothing is found in %s", bytes.Join(all, nil))
		}
	})
}

// TestGap: what the queue has no room for is counted, in a line where it is missing.
func TestGap(t *testing.T) {
	fsys := disk.NewMemory()
	l := open(t, fsys, Config{Queue: 3, MaxBytes: 1 << 20, MaxFiles: 2})
	for n := range 10 {
		l.Record(event(n))
	}
	finish(t, l)
	if totals, found := verify(t, fsys); totals.Lines != 4 || totals.Missing != 7 || len(found) > 0 {
		t.Errorf("%+v %v", totals, found)
	}
}

// TestTornLine: a line that a crash cut off is counted as missing, and the log goes on.
func TestTornLine(t *testing.T) {
	fsys := write(t, 3)
	name := filepath.Join(folder, fileName(0))
	text, _ := fsys.ReadFile(name)
	if err := disk.WriteFileAtomic(fsys, name, text[:len(text)-9]); err != nil {
		t.Fatal(err)
	}
	if _, found := verify(t, fsys); len(found) != 1 || !strings.Contains(found[0].Problem, "cut off") {
		t.Errorf("%v", found)
	}
	l := open(t, fsys, Config{})
	l.Record(event(4))
	finish(t, l)
	if totals, found := verify(t, fsys); totals.Lines != 4 || totals.Missing != 1 || len(found) > 0 {
		t.Errorf("%+v %v", totals, found)
	}
}

// TestDiskThatFails: while nothing can be written events are counted, and the log goes on
// where it was.
func TestDiskThatFails(t *testing.T) {
	fsys := disk.NewMemory()
	l := open(t, fsys, Config{})
	l.write(ptr(event(0)))
	whole := l.file
	l.file = refusing{whole}
	for range 3 {
		l.write(ptr(event(1)))
	}
	l.file = whole
	l.write(ptr(event(2)))
	finish(t, l)
	if totals, found := verify(t, fsys); totals.Lines != 3 || totals.Missing != 3 || len(found) > 0 {
		t.Errorf("%+v %v", totals, found)
	}
}

// refusing is a file that takes half of what is written.
type refusing struct{ disk.File }

func (r refusing) WriteAt(b []byte, at int64) (int, error) {
	n, _ := r.File.WriteAt(b[:len(b)/2], at)
	return n, io.ErrShortWrite
}

// TestOldFilesGo: only so many files are kept, and what is left is sound.
func TestOldFilesGo(t *testing.T) {
	fsys := disk.NewMemory()
	l := open(t, fsys, Config{Queue: 1, MaxBytes: 1000, MaxFiles: 3})
	for n := range 30 {
		l.write(ptr(event(n)))
	}
	finish(t, l)
	if totals, found := verify(t, fsys); totals.Files != 3 || totals.First == 0 || totals.Last != 29 || len(found) > 0 {
		t.Errorf("%+v %v", totals, found)
	}
}
