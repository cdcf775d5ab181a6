package quorum

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klamm-io/klamm/storage/disk"
)

// TestRottenVoter: a voter whose metadata rots while it is down, in its log, its
// snapshot or its vote, has all of it again from the others, without an operator, and
// votes. Nothing that was decided is lost or changed.
func TestRottenVoter(t *testing.T) {
	for seed := range uint64(30) {
		kind := []string{".log", snapshotSuffix, voteFile}[seed%3]
		synctest.Test(t, func(t *testing.T) {
			v := newVoters(t, 20+seed, 1, 2, 3)
			defer v.end()
			for _, id := range v.ids() {
				v.begin(id)
			}
			for range 150 {
				v.handSomewhere(5 * time.Second)
			}
			time.Sleep(time.Second)
			id := int32(seed%3) + 1
			v.kill(id)
			what := rot(t, v.disks[id], kind, v.rng)
			v.begin(id)
			v.handSomewhere(5 * time.Second)
			time.Sleep(3 * time.Second)
			v.requireVotes(5*time.Second, 1, 2, 3)
			v.handSomewhere(time.Second)
			v.agree()
			if t.Failed() {
				t.Logf("seed %d, node %d: %s", seed, id, what)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// rot turns over a bit in the newest file of a kind, and says where.
func rot(t *testing.T, m *disk.Memory, kind string, rng *rand.Rand) string {
	t.Helper()
	folder := filepath.Join("/data", journalPartition.String())
	entries, err := m.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		name := filepath.Join(folder, entries[len(entries)-1-i].Name())
		raw, err := m.ReadFile(name)
		if !strings.HasSuffix(name, kind) || err != nil || len(raw) == 0 {
			continue
		}
		at := rng.IntN(len(raw))
		raw[at] ^= 1 << rng.IntN(8)
		if err := disk.WriteFileAtomic(m, name, raw); err != nil {
			t.Fatal(err)
		}
		return name
	}
	t.Fatalf("there is no %s", kind)
	return ""
}
