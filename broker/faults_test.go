package broker

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// TestDiskFull: what cannot be written is refused and leaves nothing behind; the
// rest goes on, and service is back as soon as there is room, without a restart.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	memory := disk.NewMemory()
	fs := disk.NewFaulty(memory)
	n := start(t, fs, "/d")
	n.create(nil, "a", "b")
	n.findCoordinator("g")
	adm := kadm.NewClient(n.client(kgo.RequestRetries(0)))
	n.mustPut("a", "1")
	fs.FailWrite(1)
	if p := n.put("a", values(t, "torn")); p.ErrorCode != kerr.KafkaStorageError.Code || p.BaseOffset != -1 {
		t.Errorf("a produce without room: %+v", p)
	}
	n.mustPut("b", "1")
	n.mustPut("a", "2")

	fs.Full(true)
	commit := kadm.Offsets{}
	commit.AddOffset("a", 0, 1, -1)
	for range 3 {
		if p := n.put("a", values(t, "lost")); p.ErrorCode != kerr.KafkaStorageError.Code {
			t.Errorf("a produce to a full disk: %+v", p)
		}
		answers, err := adm.CommitOffsets(deadline(t), "g", commit)
		if err == nil {
			err = answers.Error()
		}
		if err == nil {
			t.Error("an offset is committed to a full disk")
		}
		if _, err := adm.CreateTopic(deadline(t), 1, 1, nil, "new"); !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("create a topic on a full disk: %v", err)
		}
	}
	n.holds("a", 0, "1", "2")
	const told = "records cannot be written; their producers are refused\" partition=a-0"
	if times := strings.Count(n.log.String(), told); times != 2 { // the torn write before, and the full disk
		t.Errorf("the broker tells its operator %d times of two troubles:\n%s", times, n.log.String())
	}
	fs.Full(false)
	n.mustPut("a", "3")
	if !strings.Contains(n.log.String(), "records can be written again\" partition=a-0") {
		t.Error("the broker does not say that the trouble is over")
	}
	n.mustPut("b", "2")
	if answers, err := adm.CommitOffsets(deadline(t), "g", commit); err != nil || answers.Error() != nil {
		t.Errorf("a commit when there is room again: %v, %+v", err, answers)
	}
	n.create(nil, "new")
	n.mustPut("new", "1")
	check := func() {
		t.Helper()
		n.holds("a", 0, "1", "2", "3")
		n.holds("b", 0, "1", "2")
		n.holds("new", 0, "1")
	}
	check()
	n.stopClean()
	n = start(t, memory, "/d")
	check()
}

// TestReadOnlyDisk: a disk that takes nothing any more costs no acknowledged
// record, and the stop does not hang.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	fs := disk.NewFaulty(disk.NewMemory())
	n := start(t, fs, "/d")
	n.create(nil, "t", "idle")
	n.mustPut("t", "kept")
	n.mustPut("idle", "kept")
	fs.ReadOnly(true)
	if p := n.put("t", values(t, "x")); p.ErrorCode != kerr.KafkaStorageError.Code {
		t.Errorf("produce to a read-only disk: %+v", p)
	}
	n.holds("idle", 0, "kept")
	if err := n.stop(); err == nil {
		t.Error("a stop that could not write its checkpoints says nothing of it")
	}
	fs.ReadOnly(false)
	n = start(t, fs, "/d")
	n.holds("t", 0, "kept")
	n.mustPut("t", "again")
	n.holds("t", 0, "kept", "again")
	n.holds("idle", 0, "kept")
}

// TestFailingFlush: after a flush that failed nobody knows what is on the disk, so
// the partition is offline until a restart; the others are served.
func TestFailingFlush(t *testing.T) {
	t.Parallel()
	memory := disk.NewMemory()
	fs := disk.NewFaulty(memory)
	n := start(t, fs, "/d")
	n.create(nil, "t", "other")
	n.mustPut("t", "kept")
	fs.FailSync(true)
	began := time.Now()
	if p := n.put("t", values(t, "x")); p.ErrorCode != kerr.KafkaStorageError.Code || time.Since(began) > 5*time.Second {
		t.Errorf("after %v a produce whose flush fails: %+v", time.Since(began), p)
	}
	fs.FailSync(false)
	n.mustPut("other", "1")
	if p := n.put("t", values(t, "x")); p.ErrorCode != kerr.KafkaStorageError.Code {
		t.Errorf("a produce to the offline partition: %+v", p)
	}
	if p := n.get("t", 0); p.ErrorCode != kerr.KafkaStorageError.Code {
		t.Errorf("a fetch from the offline partition: %+v", p)
	}
	if err := n.health(); err == nil || !strings.Contains(err.Error(), "offline") {
		t.Errorf("health says %v", err)
	}
	n.stop() // unclean, as the failed partition cannot be closed in order
	n = start(t, memory, "/d")
	if got := stored(t, n.get("t", 0)); len(got) == 0 || got[0] != "kept" {
		t.Errorf("after a restart the partition holds %q", got)
	}
	n.mustPut("t", "again")
	n.holds("other", 0, "1")
}

// TestFlippedBit: the scrub finds damage, readers are told instead of given it,
// and verify names the place.
func TestFlippedBit(t *testing.T) {
	t.Parallel()
	fs := disk.NewFaulty(disk.NewMemory())
	n := start(t, fs, "/d", "klamm.scrub.interval.ms=1000")
	n.create(nil, "t")
	n.mustPut("t", "a")
	n.mustPut("t", "b")
	n.mustPut("t", "c")
	const file = "/d/t-0/00000000000000000000.log"
	size := int64(len(n.get("t", 0).RecordBatches)) / 3
	fs.FlipBit(file, 2*size-2, 3)
	eventually(t, "the scrub finds the damage", func() bool { return n.get("t", 1).ErrorCode == kerr.CorruptMessage.Code })
	if got := stored(t, n.get("t", 0)); len(got) != 1 || got[0] != "a" {
		t.Errorf("before the damage there is %q", got)
	}
	n.holds("t", 2, "c")
	n.mustPut("t", "d")
	n.holds("t", 2, "c", "d")
	if !strings.Contains(n.log.String(), "t-0") {
		t.Error("the log does not name the partition")
	}
	var found []log.Finding
	if _, err := log.VerifyDir(fs, "/d", func(f log.Finding) { found = append(found, f) }); err != nil || len(found) != 1 || found[0].File != file {
		t.Errorf("verify finds %+v (%v)", found, err)
	}
}

// TestFolderInUse: a second broker on the folder is refused in words that help.
func TestFolderInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := start(t, disk.OS, dir)
	if _, err := begin(t, disk.OS, dir); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "another") {
		t.Errorf("a second broker: %v", err)
	}
	n.create(nil, "t") // the first is not harmed
	n.mustPut("t", "x")
	n.stopClean()
	start(t, disk.OS, dir).holds("t", 0, "x")
}

// TestBrokenFolder: the partitions of a folder that cannot be used are offline,
// not begun anew elsewhere; all others are served, and with the folder all is back.
func TestBrokenFolder(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	one, two, away := filepath.Join(parent, "one"), filepath.Join(parent, "two"), filepath.Join(parent, "away")
	n := start(t, disk.OS, one+","+two)
	n.createWith(4, nil, "t")
	for p := range int32(4) {
		if code := n.putTo("t", p, values(t, "kept")); code != 0 {
			t.Fatalf("produce to partition %d: error %d", p, code)
		}
	}
	n.stopClean()
	if err := os.Rename(two, away); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(two, []byte("no folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	n = start(t, disk.OS, one+","+two)
	offline := 0
	for p := range int32(4) {
		switch code := n.putTo("t", p, values(t, "more")); {
		case code == kerr.KafkaStorageError.Code:
			offline++
		case code != 0:
			t.Errorf("produce to partition %d: error %d", p, code)
		}
	}
	if offline != 2 {
		t.Errorf("%d partitions are offline, 2 lie in the broken folder", offline)
	}
	n.create(nil, "new")
	n.mustPut("new", "x")
	n.stopClean()
	if err := os.Remove(two); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, two); err != nil {
		t.Fatal(err)
	}
	n = start(t, disk.OS, one+","+two)
	total := 0
	for p := range int32(4) {
		req := fetchRequest(11, "t", 0)
		req.Topics[0].Partitions[0].Partition = p
		total += len(stored(t, n.fetched(req)))
	}
	if total != 6 {
		t.Errorf("with the folder back there are %d records, want 6", total)
	}
	n.holds("new", 0, "x")
}

// TestLostMetadata: without what says which topics there are, the broker does not
// begin a new cluster over their partitions.
func TestLostMetadata(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := start(t, disk.OS, dir)
	n.create(nil, "t")
	n.mustPut("t", "kept")
	n.stopClean()
	metadata := filepath.Join(dir, "__cluster_metadata-0")
	away := filepath.Join(t.TempDir(), "metadata")
	if err := os.Rename(metadata, away); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := begin(t, disk.OS, dir); err == nil || !strings.Contains(err.Error(), metadata+": it is empty, but") {
			t.Fatalf("without its metadata: %v", err)
		}
	}
	if err := errors.Join(os.RemoveAll(metadata), os.Rename(away, metadata)); err != nil {
		t.Fatal(err)
	}
	start(t, disk.OS, dir).holds("t", 0, "kept")
}

// TestCordonedFolders: new partitions go to folders that are not cordoned, and nowhere
// where all are, while what is there stays and is served.
func TestCordonedFolders(t *testing.T) {
	t.Parallel()
	fs := disk.NewMemory()
	n := start(t, fs, "/one,/two", "cordoned.log.dirs=/one")
	lie := func(want map[string]int) {
		t.Helper()
		dirs := map[string]int{}
		for _, f := range n.folders {
			dirs[f.path] = 0
			f.mu.Lock()
			for tp := range f.partitions {
				if tp.Topic != metadataTopic {
					dirs[f.path]++
				}
			}
			f.mu.Unlock()
		}
		if !maps.Equal(dirs, want) {
			t.Errorf("partitions lie in %v, want %v", dirs, want)
		}
	}
	cordon := func(dirs string) error {
		t.Helper()
		answers, err := kadm.NewClient(n.client()).AlterBrokerConfigs(deadline(t), []kadm.AlterConfig{{Name: "cordoned.log.dirs", Value: &dirs}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		return errors.Join(answers[0].Err)
	}
	n.createWith(3, nil, "a")
	lie(map[string]int{"/one": 0, "/two": 3})
	if err := cordon("/two"); err != nil {
		t.Fatal(err)
	}
	n.createWith(2, nil, "b")
	lie(map[string]int{"/one": 2, "/two": 3})
	if err := cordon("/three"); !errors.Is(err, kerr.InvalidRequest) {
		t.Errorf("to cordon a folder that there is not: %v", err)
	}
	for _, all := range []string{"*", "/one,/two"} {
		if err := cordon(all); err != nil {
			t.Fatal(err)
		}
		answers, err := kadm.NewClient(n.client()).CreateTopics(deadline(t), 1, 1, nil, "c")
		if err != nil {
			t.Fatal(err)
		}
		if err := answers["c"].Err; !errors.Is(err, kerr.InvalidReplicationFactor) {
			t.Errorf("where all folders are cordoned a topic is created: %v", err)
		}
		n.mustPut("a", "x")
		n.stopClean()
		n = start(t, fs, "/one,/two")
	}
	if err := cordon(""); err != nil {
		t.Fatal(err)
	}
	n.create(nil, "c")
	lie(map[string]int{"/one": 3, "/two": 3})
}
