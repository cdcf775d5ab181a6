//go:build chaos

package chaos

import (
	"testing"
	"time"

	"github.com/klamm-io/klamm/test/load"
)

// restartLimit is generous: other work may share the machine. What a restart
// takes is printed; on two free cores it is far below 2 s.
const restartLimit = 10 * time.Second

// TestRestartOfManyPartitions kills a broker that has 2,000 partitions, and
// measures when it serves them again.
func TestRestartOfManyPartitions(t *testing.T) {
	b := startKlamm(t, map[string]string{"auto.create.topics.enable": "false"})
	if err := load.FillCrowd(b.Addr); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := b.Launch(); err != nil {
			t.Fatal(err)
		}
		r, err := load.AwaitCrowd(t.Context(), b.Addr, began)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d partitions: all known %d ms after the start, written to after %d ms",
			load.CrowdTopics*load.CrowdPartitions, r.Metadata.Milliseconds(), r.Produced.Milliseconds())
		if r.Produced > restartLimit {
			t.Errorf("the restart took %s, more than %s", r.Produced, restartLimit)
		}
	}
	wantNoErrors(t, b)
}
