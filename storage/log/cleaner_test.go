package log

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// appendKeys appends a batch with a record for each key; a key with a dash in
// front is deleted. Each has a value that fills a tenth of a segment.
func appendKeys(t testing.TB, l *Log, now time.Time, keys ...string) AppendResult {
	t.Helper()
	b := record.NewBuilder()
	for _, key := range keys {
		if name, deleted := strings.CutPrefix(key, "-"); deleted {
			b.Append(now.UnixMilli(), []byte(name), nil)
		} else {
			b.Append(now.UnixMilli(), []byte(key), make([]byte, 400))
		}
	}
	r, err := l.Append(mustBuild(t, b), AppendOptions{Now: now, LeaderEpoch: 3})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fill appends keys to a log one by one, and commits them. A last record of its own
// key makes sure that those before lie in sealed segments.
func fill(t testing.TB, l *Log, now time.Time, keys string) {
	t.Helper()
	for _, key := range strings.Fields(keys) {
		appendKeys(t, l, now, key)
	}
	roll(t, l, now)
	commit(t, l)
}

func roll(t testing.TB, l *Log, now time.Time) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.roll(now); err != nil {
		t.Fatal(err)
	}
}

// keysLeft are the keys in a log, with a dash in front of those without a value,
// and the offsets of what has a name.
func keysLeft(t testing.TB, l *Log) string {
	t.Helper()
	records, err := committedRecords(l, l.Start(), l.End())
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, r := range records {
		if r.tombstone {
			r.key = "-" + r.key
		}
		keys = append(keys, fmt.Sprintf("%s@%d", r.key, r.offset))
	}
	return strings.Join(keys, " ")
}

func wantKeys(t testing.TB, l *Log, want string) {
	t.Helper()
	if got := keysLeft(t, l); got != want {
		t.Errorf("left is %q, want %q", got, want)
	}
}

func openCompacted(t testing.TB, fsys disk.FS, c Config) (*Dir, *Log) {
	t.Helper()
	d := openTestDir(t, fsys, "data")
	return d, openTestLog(t, d, c)
}

func TestTombstonesGoAfterTheirTime(t *testing.T) {
	d, l := openCompacted(t, durableFolder(t), compactConfig())
	fill(t, l, testTime, "a b -a c")
	compactAll(t, testCleaner(d, 1<<20), testTime)
	wantKeys(t, l, "b@1 -a@2 c@3")
	// The first pass that sees a tombstone gives it its horizon; one after that drops it.
	fill(t, l, testTime, "c")
	compactAll(t, testCleaner(d, 1<<20), testTime.Add(time.Hour-time.Millisecond))
	wantKeys(t, l, "b@1 -a@2 c@4")
	fill(t, l, testTime, "c")
	compactAll(t, testCleaner(d, 1<<20), testTime.Add(time.Hour))
	wantKeys(t, l, "b@1 c@5")
	if l.Start() != 0 {
		t.Errorf("the log starts at %d", l.Start())
	}
}

func TestSmallSegmentsBecomeOne(t *testing.T) {
	m := durableFolder(t)
	d, l := openCompacted(t, m, compactConfig())
	for range 12 {
		fill(t, l, testTime, "a b c")
	}
	if l.Segments() != 13 {
		t.Fatalf("%d segments", l.Segments())
	}
	compactAll(t, testCleaner(d, 1<<20), testTime)
	wantKeys(t, l, "a@33 b@34 c@35")
	compactAll(t, testCleaner(d, 1<<20), testTime)
	fill(t, l, testTime, "d")
	compactAll(t, testCleaner(d, 1<<20), testTime)
	if l.Segments() != 2 {
		t.Errorf("%d segments are left", l.Segments())
	}
	wantKeys(t, l, "a@33 b@34 c@35 d@36")
	d.removeDoomed(time.Now().Add(time.Hour))
	var names []string
	entries, err := m.ReadDir(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{
		"00000000000000000000.index", "00000000000000000000.log", "00000000000000000000.timeindex", "00000000000000000037.index",
		"00000000000000000037.log", "00000000000000000037.snapshot", "00000000000000000037.timeindex", "leader-epoch-checkpoint", "partition.metadata",
	}; !slices.Equal(names, want) {
		t.Errorf("files %v\nwant %v", names, want)
	}
}

// A reader has a segment that is replaced while it reads; one that comes after is
// given the new one. What ends a segment that has just ended is not looked for
// where it was before.
func TestReadersOfReplacedSegments(t *testing.T) {
	d, l := openCompacted(t, durableFolder(t), compactConfig())
	fill(t, l, testTime, "a b a b a b")
	slice, err := l.Read(0, 1<<20, l.End(), true)
	if err != nil {
		t.Fatal(err)
	}
	before := make([]byte, slice.Len)
	if _, err := slice.File.ReadAt(before, slice.Off); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	old := (*l.segments.Load())[0]
	compactAll(t, testCleaner(d, 1<<20), testTime)
	wantKeys(t, l, "a@4 b@5")
	after := make([]byte, slice.Len)
	if _, err := slice.File.ReadAt(after, slice.Off); err != nil && err != io.EOF || string(after) != string(before) {
		t.Errorf("the open slice changed: %v", err)
	}
	slice.Close()
	if _, err := old.records.acquire(); err == nil {
		t.Error("the old file can still be opened")
	}
	for _, timestamp := range []int64{0, testTime.UnixMilli()} {
		found, ok, err := l.OffsetForTimestamp(timestamp, l.End())
		if err != nil || !ok || found.Offset != 4 {
			t.Errorf("time %d: %+v, %v, %v", timestamp, found, ok, err)
		}
	}
	if found, ok, err := l.MaxTimestamp(l.End()); err != nil || !ok || found.Offset != 4 {
		t.Errorf("largest: %+v, %v, %v", found, ok, err)
	}
}

// A log with damage is left alone, and others are compacted; nothing of it is
// touched.
func TestDamageMakesOneLogUncleanable(t *testing.T) {
	faulty := disk.NewFaulty(durableFolder(t))
	d, l := openCompacted(t, faulty, compactConfig())
	other, err := d.Open(protocol.TopicPartition{Topic: "planes"}, protocol.TopicID{1}, compactConfig())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, l, testTime, "a b a b a b c d e f g h i j k")
	fill(t, other, testTime, "a a")
	before := fmt.Sprint(readAll(t, l, 0))
	faulty.FlipBit("data/flights-0/00000000000000000000.log", 600, 1)
	c := testCleaner(d, 1<<20)
	for w := c.newCompactor(); w.once(t.Context(), testTime) || len(c.busy) > 0; {
	}
	c.newCompactor().once(t.Context(), testTime)
	wantKeys(t, other, "a@1")
	s := c.State(testTime)
	if s.Failures != 1 || s.Passes != 1 || s.Folders[0].Uncleanable != 1 || s.Folders[0].UncleanableBytes == 0 {
		t.Errorf("%+v", s)
	}
	faulty.Heal()
	if after := fmt.Sprint(readAll(t, l, 0)); after != before || len(leftovers(t, faulty, l)) > 0 {
		t.Errorf("batches %s, before %s", after, before)
	}
}

// A disk that is full for a while delays compaction, no more.
func TestFullDiskDelaysCompaction(t *testing.T) {
	faulty := disk.NewFaulty(durableFolder(t))
	d, l := openCompacted(t, faulty, compactConfig())
	fill(t, l, testTime, "a b a b")
	if err := d.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	c := testCleaner(d, 1<<20)
	w := c.newCompactor()
	faulty.Full(true)
	if w.once(t.Context(), time.Now()) || c.State(time.Now()).Failures != 1 || l.Failed() != nil {
		t.Errorf("%+v, %v", c.State(time.Now()), l.Failed())
	}
	faulty.Full(false)
	if w.once(t.Context(), time.Now()) {
		t.Error("tried again at once")
	}
	if !w.once(t.Context(), time.Now().Add(time.Hour)) {
		t.Error("not tried again")
	}
	wantKeys(t, l, "a@2 b@3")
}

// The policy changes while the log is open, and while a pass runs.
func TestPolicyChangesAtRunTime(t *testing.T) {
	d, l := openCompacted(t, durableFolder(t), testConfig())
	fill(t, l, testTime, "a a")
	compactAll(t, testCleaner(d, 1<<20), testTime)
	wantKeys(t, l, "a@0 a@1")
	l.SetConfig(compactConfig())
	compactAll(t, testCleaner(d, 1<<20), testTime)
	wantKeys(t, l, "a@1")
	fill(t, l, testTime, "a a")
	c := testCleaner(d, 1<<20)
	w := c.newCompactor()
	p := c.choose(testTime)
	l.SetConfig(testConfig())
	p.worker = w
	if _, err := p.run(t.Context()); err != errAbandoned {
		t.Errorf("the pass ended with %v", err)
	}
	wantKeys(t, l, "a@1 a@2 a@3")
}

// compact,delete: retention deletes what is old, and a pass goes on from where the
// log begins then.
func TestRetentionOfACompactedLog(t *testing.T) {
	config := compactConfig()
	config.Delete, config.RetentionMs = true, time.Hour.Milliseconds()
	d, l := openCompacted(t, durableFolder(t), config)
	fill(t, l, testTime, "a b a")
	compactAll(t, testCleaner(d, 1<<20), testTime)
	fill(t, l, testTime.Add(time.Hour), "a b c a")
	l.compactMu.Lock()
	if err := l.applyRetention(testTime.Add(90 * time.Minute)); err != nil || l.Start() != 0 {
		t.Errorf("%v; retention came while the log was compacted: it starts at %d", err, l.Start())
	}
	l.compactMu.Unlock()
	if err := l.applyRetention(testTime.Add(90 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, l, "a@3 b@4 c@5 a@6")
	if err := l.AdvanceStart(5); err != nil {
		t.Fatal(err)
	}
	compactAll(t, testCleaner(d, 1<<20), testTime.Add(90*time.Minute))
	wantKeys(t, l, "c@5 a@6")
}

// A producer goes on where it was, although its records are gone, and also where
// only the log tells what it sent.
func TestProducersOutliveTheirRecords(t *testing.T) {
	m := durableFolder(t)
	d, l := openCompacted(t, m, compactConfig())
	send := func(l *Log, sequence int32) error {
		b := record.NewBuilder()
		b.ProducerID, b.ProducerEpoch, b.BaseSequence = 9, 1, sequence
		b.Append(testTime.UnixMilli(), []byte("a"), []byte("1"))
		b.Append(testTime.UnixMilli(), []byte("b"), []byte("1"))
		_, err := l.Append(mustBuild(t, b), AppendOptions{Now: testTime, LeaderEpoch: 3})
		return err
	}
	for sequence := int32(0); sequence < 6; sequence += 2 {
		if err := send(l, sequence); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, l, testTime, "a b")
	compactAll(t, testCleaner(d, 1<<20), testTime)
	wantKeys(t, l, "a@6 b@7")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := m.ReadDir(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".snapshot") {
			if err := m.Remove(l.Path() + "/" + e.Name()); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, l = openCompacted(t, m, compactConfig())
	if err := send(l, 8); err == nil {
		t.Error("a gap in the sequence numbers passed")
	}
	if err := send(l, 6); err != nil {
		t.Error(err)
	}
}

// A deletion waits until a pass over the log has ended, and the pass ends.
func TestDeletionEndsAPass(t *testing.T) {
	m := durableFolder(t)
	d, l := openCompacted(t, m, compactConfig())
	fill(t, l, testTime, strings.Repeat("a b c d e f ", 50))
	config := testCleaner(d, 1<<20).config
	config.BytesPerSecond = 1 // a pass that does not end by itself
	c := NewCleaner(config, []*Dir{d}, d.logger)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	for c.State(time.Now()).Logs[0].Progress == 0 {
		time.Sleep(time.Millisecond)
	}
	if s := c.State(time.Now()); !s.Logs[0].Running || s.Logs[0].Progress >= 1 {
		t.Errorf("%+v", s.Logs)
	}
	if err := d.Delete(l.TopicPartition); err != nil {
		t.Fatal(err)
	}
	again := openTestLog(t, d, compactConfig())
	stop()
	if err := <-ended; err != nil || c.State(time.Now()).Failures > 0 {
		t.Errorf("%v, %+v", err, c.State(time.Now()))
	}
	if left := leftovers(t, m, again); len(left) > 0 || again.Segments() != 1 {
		t.Errorf("the new log has %v", left)
	}
}

// A truncation lets a pass end before it cuts, and what is appended after it is
// compacted as if nothing had been there.
func TestTruncationEndsAPass(t *testing.T) {
	d, l := openCompacted(t, durableFolder(t), compactConfig())
	fill(t, l, testTime, strings.Repeat("a b c d e f ", 50))
	compactAll(t, testCleaner(d, 1<<20), testTime)
	fill(t, l, testTime, "a b c d e f")
	config := testCleaner(d, 1<<20).config
	config.BytesPerSecond = 1 // a pass that does not end by itself
	c := NewCleaner(config, []*Dir{d}, d.logger)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	for c.State(time.Now()).Logs[0].Progress == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := l.TruncateTo(299); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil || c.State(time.Now()).Failures > 0 {
		t.Errorf("%v, %+v", err, c.State(time.Now()))
	}
	if got := d.compactedTo(l); got != 299 {
		t.Errorf("compacted to %d, want 299", got)
	}
	wantKeys(t, l, "a@294 b@295 c@296 d@297 e@298")
	fill(t, l, testTime, "a g")
	compactAll(t, testCleaner(d, 1<<20), testTime)
	wantKeys(t, l, "b@295 c@296 d@297 e@298 a@299 g@300")
}

// What is read and written keeps to the pace, and a change of the configuration
// counts at once.
func TestPaceOfCompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, l := openCompacted(t, durableFolder(t), compactConfig())
		fill(t, l, testTime, strings.Repeat("a b c d e f ", 50))
		bytes := float64(l.Size())
		config := testCleaner(d, 1<<20).config
		config.BytesPerSecond = bytes / 100 // the keys, then all: read twice, and hardly anything written
		c := NewCleaner(config, []*Dir{d}, d.logger)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		time.Sleep(190 * time.Second)
		if got := d.compactedTo(l); got != -1 {
			t.Errorf("compacted to %d before its time", got)
		}
		time.Sleep(30 * time.Second)
		if got := d.compactedTo(l); got != l.End() {
			t.Errorf("compacted to %d, want %d", got, l.End())
		}
		fill(t, l, testTime, strings.Repeat("a b c d e f ", 50))
		time.Sleep(time.Second)
		config.BytesPerSecond *= 1000
		c.Configure(config)
		time.Sleep(5 * time.Second)
		if got := d.compactedTo(l); got != l.End() {
			t.Errorf("with a faster pace compacted to %d, want %d", got, l.End())
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
