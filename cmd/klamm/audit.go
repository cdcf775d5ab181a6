package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/klamm-io/klamm/internal/quantity"
	"github.com/klamm-io/klamm/security/audit"
	"github.com/klamm-io/klamm/storage/disk"
)

func newAuditCommand(env *environment) *cobra.Command {
	return parentCommand("audit", "Check the audit log of a broker", newAuditVerifyCommand(env))
}

// auditReport is what `klamm audit verify` found.
type auditReport struct {
	Files    int            `json:"files"`
	Lines    int64          `json:"lines"`
	First    int64          `json:"first"` // numbers of the first and the last line
	Last     int64          `json:"last"`
	Missing  int64          `json:"missing"` // events that the broker had no room for
	Digest   string         `json:"digest"`  // of the last line
	Problems []auditProblem `json:"problems"`
}

type auditProblem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Problem string `json:"problem"`
}

func newAuditVerifyCommand(env *environment) *cobra.Command {
	var expect string
	cmd := &cobra.Command{
		Use:   "verify FOLDER",
		Short: "Check that no line of an audit log was changed or is missing",
		Long: `Check that no line of an audit log (klamm.audit.dir) was changed or is missing, and
exit with 1 where one was or is. It only reads.

Each line bears the digest of the line before it. That lines are missing at the end, or
that somebody wrote a whole other log, shows only by a digest that was noted elsewhere:
--expect looks for it.`,
		Example: `  klamm audit verify /var/log/klamm/audit
  klamm audit verify /var/log/klamm/audit --expect 3f6c9e0b0d4c8f3e5a1f7c2b9d8e6a4f0c1b2d3e4f5a6b7c8d9e0f1a2b3c4d5e`,
		Args: arguments(1, 1),
	}
	cmd.Flags().StringVar(&expect, "expect", "", "a `DIGEST` that this command told before and that must be there")
	output := addOutputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		report, there, err := verifyAudit(args[0], expect)
		if err != nil {
			return err
		}
		if err := env.showAudit(report, *output); err != nil {
			return err
		}
		if n := len(report.Problems); n > 0 {
			return fmt.Errorf("%s: the log is not what the broker wrote", quantity.Counted(int64(n), "problem", "problems"))
		}
		if !there {
			return errors.New("no line has the digest that is expected: lines are missing at the end, or the log is another")
		}
		return nil
	}
	return cmd
}

func verifyAudit(dir, expect string) (report auditReport, there bool, err error) {
	report.Problems, there = []auditProblem{}, expect == ""
	found := func(f audit.Finding) {
		if len(report.Problems) < maxFindings {
			report.Problems = append(report.Problems, auditProblem(f))
		}
	}
	totals, err := audit.Verify(disk.OS, dir, found, func(digest string) { there = there || digest == expect })
	report.Files, report.Lines, report.First, report.Last = totals.Files, totals.Lines, totals.First, totals.Last
	report.Missing, report.Digest = totals.Missing, totals.Digest
	return report, there, err
}

func (e *environment) showAudit(r auditReport, format outputFormat) error {
	if format != "table" {
		return e.show(format, nil, r)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(e.out, "%s:%d: the line %s\n", p.File, p.Line, p.Problem)
	}
	fmt.Fprintf(e.out, "%s in %s, numbers %d to %d; %s had no room\nlast digest: %s\n", quantity.Counted(r.Lines, "line", "lines"),
		quantity.Counted(int64(r.Files), "file", "files"), r.First, r.Last, quantity.Counted(r.Missing, "event", "events"), r.Digest)
	return nil
}
