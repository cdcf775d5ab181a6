package main

import "testing"

func TestPatienceEndsOnlyWhenRecordsWaitAndNoneArrives(t *testing.T) {
	var p patience
	tick := func(arrived int64, waiting, want bool) {
		t.Helper()
		if got := p.over(arrived, waiting); got != want {
			t.Errorf("%d arrived, waiting %t: over %t after %d ticks", arrived, waiting, got, p.stuck)
		}
	}
	for range 10 {
		tick(0, false, false) // nothing to send yet
	}
	for n := range int64(10) {
		tick(n, true, false) // slow, but records arrive
	}
	for range patienceTicks {
		tick(9, true, false)
	}
	tick(9, true, true)
	tick(10, true, false) // one came through at last
}
