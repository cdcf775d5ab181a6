package disk_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/storage/disk"
)

// crashes cuts the power many times, by a seed each, and counts what describe
// says of what is left.
func crashes(t *testing.T, m *disk.Memory, describe func(after *disk.Memory) string) map[string]int {
	t.Helper()
	outcomes := map[string]int{}
	for seed := range uint64(300) {
		outcomes[describe(m.Crash(rand.New(rand.NewPCG(seed, 0))))]++
	}
	return outcomes
}

// wantOutcomes holds that exactly these outcomes occur.
func wantOutcomes(t *testing.T, got map[string]int, want ...string) {
	t.Helper()
	slices.Sort(want)
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Fatalf("power cuts led to %q, want %q", names, want)
	}
}

func content(name string) func(*disk.Memory) string {
	return func(m *disk.Memory) string {
		data, err := m.ReadFile(name)
		if err != nil {
			return "gone"
		}
		return string(data)
	}
}

func TestCrashKeepsWhatWasSynced(t *testing.T) {
	m := disk.NewMemory()
	must(t, m.Mkdir("a/b"))
	file := put(t, m, "a/b/f", "kept")
	must(t, file.Sync())
	for _, folder := range []string{"a/b", "a", "/"} {
		must(t, m.SyncDir(folder))
	}
	wantOutcomes(t, crashes(t, m, content("a/b/f")), "kept")
}

func TestCrashMayLoseWhatWasNotSynced(t *testing.T) {
	m := disk.NewMemory()
	file := put(t, m, "f", "old")
	must(t, file.Sync())
	must(t, m.SyncDir("/"))
	_, err := file.WriteAt([]byte("new"), 0)
	must(t, err)
	_, err = file.WriteAt([]byte("end"), 3)
	must(t, err)
	wantOutcomes(t, crashes(t, m, content("f")), "old", "new", "newend")

	must(t, file.Sync())
	must(t, file.Truncate(1))
	wantOutcomes(t, crashes(t, m, content("f")), "newend", "n")
}

func TestCrashTearsWritesAtSectors(t *testing.T) {
	m := disk.NewMemory()
	file := put(t, m, "f", strings.Repeat("o", 1536))
	must(t, file.Sync())
	must(t, m.SyncDir("/"))
	_, err := file.WriteAt(bytes.Repeat([]byte("n"), 1036), 500) // the last 12 bytes of one sector, and two whole ones
	must(t, err)
	outcomes := crashes(t, m, func(after *disk.Memory) string {
		data := content("f")(after)
		want(t, "what lies before the write", data[:500], strings.Repeat("o", 500))
		for _, part := range []string{data[500:512], data[512:1024], data[1024:1536]} {
			if strings.Trim(part, part[:1]) != "" {
				t.Fatalf("a sector is torn: %q", part)
			}
		}
		return data[511:513] + data[1535:]
	})
	wantOutcomes(t, outcomes, "ooo", "oon", "ono", "onn", "noo", "non", "nno", "nnn")
}

func TestCrashLeavesZerosWhereAnEarlierWriteIsLost(t *testing.T) {
	m := disk.NewMemory()
	file := put(t, m, "f", "")
	must(t, file.Sync())
	must(t, m.SyncDir("/"))
	for i, part := range []string{"a", "b"} {
		_, err := file.WriteAt([]byte(part), int64(i)*512)
		must(t, err)
	}
	gap := strings.Repeat("\x00", 511)
	wantOutcomes(t, crashes(t, m, content("f")), "", "a", "a"+gap+"b", "\x00"+gap+"b")
}

func TestCrashMayLoseNames(t *testing.T) {
	m := disk.NewMemory()
	must(t, put(t, m, "new", "n").Sync())
	wantOutcomes(t, crashes(t, m, content("new")), "n", "gone")

	must(t, m.SyncDir("/"))
	must(t, m.Remove("new"))
	wantOutcomes(t, crashes(t, m, content("new")), "n", "gone")
}

func TestCrashKeepsARenameWholeOrNotAtAll(t *testing.T) {
	m := disk.NewMemory()
	must(t, m.Mkdir("a"))
	must(t, m.Mkdir("b"))
	must(t, put(t, m, "a/f", "x").Sync())
	for _, folder := range []string{"/", "a", "b"} {
		must(t, m.SyncDir(folder))
	}
	names := func(after *disk.Memory) string { return list(t, after, "a") + "| " + list(t, after, "b") }
	must(t, m.Rename("a/f", "b/g"))
	wantOutcomes(t, crashes(t, m, names), "f | ", "| g ")
	must(t, m.SyncDir("a"))
	wantOutcomes(t, crashes(t, m, names), "| g ")
}

// A folder is as durable as its own name: who makes one must sync the folder
// above it.
func TestCrashLosesAFolderWhoseNameIsLost(t *testing.T) {
	m := disk.NewMemory()
	must(t, m.Mkdir("topic-0"))
	must(t, put(t, m, "topic-0/f", "x").Sync())
	must(t, m.SyncDir("topic-0"))
	wantOutcomes(t, crashes(t, m, content("topic-0/f")), "x", "gone")
	must(t, m.SyncDir("."))
	wantOutcomes(t, crashes(t, m, content("topic-0/f")), "x")
}

func TestCrashKeepsNamesInTheirOrder(t *testing.T) {
	m := disk.NewMemory()
	for _, name := range []string{"1", "2", "3"} {
		must(t, put(t, m, name, "").Sync())
	}
	names := func(after *disk.Memory) string { return list(t, after, "/") }
	wantOutcomes(t, crashes(t, m, names), "", "1 ", "1 2 ", "1 2 3 ")
}

func TestCrashDuringAtomicWriteLeavesOldOrNew(t *testing.T) {
	m := disk.NewMemory()
	store(t, m, "f", "old")
	failing := disk.NewFaulty(m)
	failing.FailSync(true)
	if disk.WriteFileAtomic(failing, "f", []byte("new")) == nil {
		t.Fatal("no error")
	}
	wantOutcomes(t, crashes(t, m, content("f")), "old")

	file := put(t, m, "f.tmp", "new")
	must(t, file.Sync())
	must(t, m.Rename("f.tmp", "f"))
	wantOutcomes(t, crashes(t, m, content("f")), "old", "new")
	must(t, m.SyncDir("/"))
	wantOutcomes(t, crashes(t, m, content("f")), "new")
}

func TestWhatIsLeftAfterACrash(t *testing.T) {
	m := disk.NewMemory()
	unlock, err := m.Lock("lock")
	must(t, err)
	must(t, m.SyncDir("/"))
	store(t, m, "f", "before")
	after := m.Crash(rand.New(rand.NewPCG(1, 1)))
	again, err := after.Lock("lock")
	must(t, err)
	must(t, again())
	must(t, unlock())

	must(t, put(t, m, "f", "changed").Close())
	want(t, "the one does not see the other's changes", read(t, after, "f"), "before")
	wantOutcomes(t, crashes(t, after, content("f")), "before")
}

func TestOneSeedIsOneOutcome(t *testing.T) {
	m := disk.NewMemory()
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		put(t, m, name, strings.Repeat(name, 4096))
	}
	outcome := func() string {
		after, all := m.Crash(rand.New(rand.NewPCG(7, 7))), ""
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			all += content(name)(after) + "|"
		}
		return all
	}
	want(t, "outcome", outcome(), outcome())
}

func TestKillLosesNothingAndSyncsNothing(t *testing.T) {
	m := disk.NewMemory()
	must(t, m.Mkdir("a"))
	file := put(t, m, "a/f", "old")
	must(t, file.Sync())
	for _, folder := range []string{"a", "/"} {
		must(t, m.SyncDir(folder))
	}
	_, err := file.WriteAt([]byte("new"), 0)
	must(t, err)
	must(t, m.Rename("a/f", "a/g"))
	unlock, err := m.Lock("lock")
	must(t, err)

	after := m.Kill()
	_, err = file.WriteAt([]byte("yet"), 0)
	must(t, err)
	must(t, m.SyncDir("a"))
	must(t, unlock())
	want(t, "content", read(t, after, "a/g"), "new")
	again, err := after.Lock("lock")
	must(t, err)
	must(t, again())
	both := func(m *disk.Memory) string { return content("a/f")(m) + "|" + content("a/g")(m) }
	wantOutcomes(t, crashes(t, after, both), "old|gone", "new|gone", "gone|old", "gone|new")
}
