package log

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Which transactions were aborted is known after a power cut, also where their
// segment ended just before it.
func TestAbortedTransactionsSurvivePowerCuts(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 3))
		m := durableFolder(t)
		l := openTestLog(t, openTestDir(t, m, "data"), compactConfig())
		w := newWriter(t, rng, l)
		for range 200 {
			w.step()
			if rng.IntN(20) == 0 {
				waitFlushed(t, l)
			}
		}
		waitFlushed(t, l)
		want, err := l.AbortedTransactions(0, l.End())
		if err != nil {
			t.Fatal(err)
		}
		l = openTestLog(t, openTestDir(t, m.Crash(rng), "data"), compactConfig())
		got, err := l.AbortedTransactions(0, l.End())
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("seed %d: after the power cut %v, %v; before %v", seed, got, err, want)
		}
	}
}
