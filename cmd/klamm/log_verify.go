package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/klamm-io/klamm/internal/quantity"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// maxFindings is how many findings are told: one torn file can yield millions,
// and the first ones say what happened.
const maxFindings = 1000

// verification is what `klamm log verify` looked at and found.
type verification struct {
	Partitions int       `json:"partitions"`
	Segments   int       `json:"segments"`
	Batches    int64     `json:"batches"`
	Records    int64     `json:"records"`
	Bytes      int64     `json:"bytes"`
	Problems   int       `json:"problems"`
	Findings   []finding `json:"findings"` // the first maxFindings of the problems
}

type finding struct {
	File     string `json:"file"`
	Position int64  `json:"position"` // in bytes
	Offset   *int64 `json:"offset"`   // first affected; null where not known
	Problem  string `json:"problem"`
}

func newLogVerifyCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify FOLDER…",
		Short: "Check every batch and index entry in the files of logs",
		Long: `Check every batch and index entry in the files of logs, and exit with 1 where
something is wrong. It only reads. Name a folder of logs (log.dirs), of one
partition, or a single .log file.`,
		Example: `  klamm log verify klamm-data`,
		Args:    arguments(1, -1),
	}
	output := addOutputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, paths []string) error {
		v := &verification{Findings: []finding{}}
		for _, path := range paths {
			if err := v.path(path); err != nil {
				return err
			}
		}
		if err := env.showVerification(v, *output); err != nil {
			return err
		}
		if n := v.Problems; n > 0 {
			return fmt.Errorf("%s. A broker answers CORRUPT_MESSAGE for what it cannot read; restore it from a replica or a backup",
				quantity.Counted(int64(n), "problem", "problems"))
		}
		return nil
	}
	return cmd
}

func (v *verification) path(path string) error {
	if _, err := segmentsIn(disk.OS, path); err != nil {
		return err
	}
	totals, err := log.VerifyDir(disk.OS, path, v.found)
	v.Partitions += totals.Partitions
	v.Segments += totals.Segments
	v.Batches += totals.Batches
	v.Records += totals.Records
	v.Bytes += totals.Bytes
	return err
}

func (v *verification) found(f log.Finding) {
	v.Problems++
	if len(v.Findings) == maxFindings {
		return
	}
	row := finding{File: f.File, Position: f.Position, Problem: f.Problem}
	if f.Offset >= 0 {
		row.Offset = &f.Offset
	}
	v.Findings = append(v.Findings, row)
}

func (e *environment) showVerification(v *verification, output outputFormat) error {
	if output != "table" {
		return e.show(output, nil, v)
	}
	if len(v.Findings) > 0 {
		t := newTable("FILE", "POSITION", "OFFSET", "PROBLEM")
		for _, f := range v.Findings {
			t.add(shortFile(f.File), f.Position, f.Offset, f.Problem)
		}
		if err := t.write(e.out); err != nil {
			return err
		}
	}
	if more := v.Problems - len(v.Findings); more > 0 {
		fmt.Fprintf(e.out, "… and %s more\n", quantity.Digits(int64(more)))
	}
	_, err := fmt.Fprintf(e.out, "verified %s, %s, %s, %s, %s\n",
		quantity.Counted(int64(v.Partitions), "partition", "partitions"), quantity.Counted(int64(v.Segments), "segment", "segments"),
		quantity.Counted(v.Batches, "batch", "batches"), quantity.Counted(v.Records, "record", "records"), quantity.Bytes(float64(v.Bytes)))
	return err
}
