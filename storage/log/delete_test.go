package log

import (
	"slices"
	"testing"
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
