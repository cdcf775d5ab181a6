package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/klamm-io/klamm/test/brokers"
)

// noise is how much more of the floor's CPU a load may take than when the baseline was
// written: two runs of one program differ by a fifth on machines that others use too.
const noise = 1.25

// baselineFile is where the check finds what loads took, from the top of the tree.
const baselineFile = "test/bench/baseline.json"

// baseline is Klamm's CPU time for a load over the floor's, by the load's topic. The
// ratio says the same on machines of different speed.
type baseline map[string]float64

// check measures Klamm and the floor, and fails where a load takes more CPU than the
// baseline says, by more than noise. With write it writes the baseline instead.
func (m *measurement) check(ctx context.Context, write bool) (err error) {
	dir, err := os.MkdirTemp("", "klamm-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	klamm, err := brokers.Klamm(brokers.Options{Dir: dir})
	if err != nil {
		return err
	}
	p := pair{klamm}
	defer func() { err = errors.Join(err, p.kill()) }()
	if err := klamm.Start(ctx); err != nil {
		return err
	}
	if err := m.startFloor(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.floor.Kill()) }()
	found := baseline{}
	for _, w := range workloads {
		if !w.onFloor {
			continue
		}
		if err := m.workload(ctx, p, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		found[w.topic] = m.rows[len(m.rows)-1].overFloor()
	}
	if write {
		return found.store()
	}
	return found.compare()
}

// overFloor is the least CPU that a round of Klamm's took, over the floor's median: what
// else the machine does can only add to it.
func (r row) overFloor() float64 {
	for _, c := range r.columns {
		if c.unit == cpuOfByte.unit {
			return slices.Min(c.samples[0]) / c.samples.median(len(kinds))
		}
	}
	return 0
}

func (b baseline) store() error {
	path, err := baselinePath()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// compare fails where b is worse than what was stored.
func (b baseline) compare() error {
	path, err := baselinePath()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the baseline; -check -write makes it: %w", err)
	}
	before := baseline{}
	if err := json.Unmarshal(text, &before); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return b.against(before)
}

func (b baseline) against(before baseline) error {
	var worse []error
	for load, now := range b {
		was, known := before[load]
		switch {
		case !known:
			worse = append(worse, fmt.Errorf("%s has no baseline; -check -write makes it", load))
		case now > was*noise:
			worse = append(worse, fmt.Errorf("%s takes %.2f times the CPU of the floor, it was %.2f", load, now, was))
		}
	}
	return errors.Join(worse...)
}

func baselinePath() (string, error) {
	tree, err := brokers.Tree()
	return filepath.Join(tree, baselineFile), err
}
