package log

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klamm-io/klamm/protocol"
)

// What is under way in a log when it is deleted neither fails nor leaves anything
// in the folder of the log that has its name next.
func TestDeletedLogIsLetGo(t *testing.T) {
	d := openTestDir(t, durableFolder(t), "data")
	l := openTestLog(t, d, testConfig())
	mustAppend(t, l, testBatch(t, 3, 10, 1))
	if err := d.Delete(l.TopicPartition); err != nil {
		t.Fatal(err)
	}
	again := openTestLog(t, d, testConfig())
	before := filesOf(t, again)
	snapshot, err := l.snapshotProducers()
	if err != nil {
		t.Errorf("the leader epochs: %v", err)
	}
	if err := l.writeSnapshot(snapshot); err == nil {
		t.Error("a snapshot was written")
	}
	if err := l.flushOnce(); err == nil {
		t.Error("a log without files was flushed")
	}
	if l.Failed() != nil {
		t.Errorf("it failed: %v", l.Failed())
	}
	if after := filesOf(t, again); !slices.Equal(after, before) {
		t.Errorf("the next log has %v, before %v", after, before)
	}
}

func filesOf(t *testing.T, l *Log) (names []string) {
	t.Helper()
	entries, err := l.dir.fs.ReadDir(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// The folder of a deleted topic's partition goes for good, even though its log is not
// open; one of another topic that has the name stays.
func TestDiscard(t *testing.T) {
	fsys := durableFolder(t)
	d := openTestDir(t, fsys, "data")
	l := openTestLog(t, d, testConfig())
	mustAppend(t, l, testBatch(t, 3, 10, 1))
	tp, id := l.TopicPartition, l.TopicID
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openTestDir(t, fsys, "data")
	if err := d.Discard(tp, protocol.NewTopicID()); err == nil {
		t.Error("the folder of another topic was discarded")
	}
	if left := entriesOf(t, d); !slices.Contains(left, tp.String()) {
		t.Fatalf("the folder has %v, it should still have %s", left, tp)
	}
	if err := d.Discard(tp, id); err != nil {
		t.Fatal(err)
	}
	d.removeDoomed(time.Now())
	if left := entriesOf(t, d); slices.ContainsFunc(left, func(name string) bool { return strings.HasPrefix(name, tp.String()) }) {
		t.Errorf("after it was discarded the folder has %v", left)
	}
	if again := openTestLog(t, d, testConfig()); again.End() != 0 {
		t.Errorf("the next log of that name begins at %d", again.End())
	}
}

func entriesOf(t *testing.T, d *Dir) (names []string) {
	t.Helper()
	entries, err := d.fs.ReadDir(d.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
