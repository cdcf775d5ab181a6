//go:build compat

package compat

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"
)

// rides is what the services of clients/node/drivers.js saw, in the order of
// arrival.
type rides struct{ Riders1, Riders2, Trips []sighting }

type sighting struct {
	Key    string
	Step   int
	Status string
}

// TestRideSharing runs the example that tutorials start from: drivers send
// positions keyed by driver, two services in a group share them, one more
// follows the trips. Each position arrives once, in order, and those of one
// driver at one service.
func TestRideSharing(t *testing.T) {
	const drivers, positions = 9, 25
	argv, err := nodeProgram("drivers.js")()
	needs(t, "kafkajs", err)
	argv = append(argv, broker(t).Addr, fmt.Sprint(drivers), fmt.Sprint(positions))
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).Output()
	var seen rides
	if jsonErr := json.Unmarshal(out, &seen); err != nil || jsonErr != nil {
		t.Fatalf("drivers.js: %v, its output: %v\n%s", err, jsonErr, out)
	}
	if len(seen.Riders1) == 0 || len(seen.Riders2) == 0 {
		t.Errorf("of two services one saw all: %d and %d", len(seen.Riders1), len(seen.Riders2))
	}
	next, service := map[string]int{}, map[string]int{}
	for i, saw := range [][]sighting{seen.Riders1, seen.Riders2} {
		for _, at := range saw {
			if was, known := service[at.Key]; known && was != i {
				t.Errorf("%s was seen by both services", at.Key)
			}
			if at.Step != next[at.Key] {
				t.Errorf("%s: step %d came, want %d", at.Key, at.Step, next[at.Key])
			}
			next[at.Key], service[at.Key] = at.Step+1, i
		}
	}
	trips := map[string]string{}
	for _, trip := range seen.Trips {
		trips[trip.Key] += trip.Status + ". "
	}
	for d := range drivers {
		key := fmt.Sprintf("driver-%d", d)
		if next[key] != positions || trips[key] != "picked up. dropped off. " {
			t.Errorf("%s: %d of %d positions came, trips %q", key, next[key], positions, trips[key])
		}
	}
}
