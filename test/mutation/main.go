// Command mutation breaks Klamm on purpose in one way after the other (see
// internal/breakage), runs the tests of the packages that should notice, and says which
// did. It fails where a breakage is not noticed, and where tests fail without one.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/klamm-io/klamm/internal/breakage"
)

// trials are the breakages, and where each should be noticed.
var trials = []struct {
	breakage.Kind
	where string
}{
	{breakage.NoFlush, "./storage/log"},
	{breakage.ForgottenAbort, "./storage/log"},
	{breakage.BelievedIndex, "./storage/log"},
	{breakage.UncheckedStart, "./storage/log"},
	{breakage.UnverifiedCopy, "./storage/log"},
	{breakage.EarlyAck, "./broker/replica"},
	{breakage.NoEpochFence, "./broker/replica"},
	{breakage.NoTruncation, "./broker/replica"},
	{breakage.HighWatermark, "./broker/replica"},
	{breakage.ForgottenVote, "./cluster/quorum"},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var sound []string
	for _, t := range trials {
		if !slices.Contains(sound, t.where) {
			sound = append(sound, t.where)
		}
	}
	if failed, err := try(ctx, "", sound...); err != nil || len(failed) > 0 {
		return fmt.Errorf("tests fail although nothing is broken: %v %w", failed, err)
	}
	survived := 0
	for _, t := range trials {
		began := time.Now()
		failed, err := try(ctx, t.Kind, t.where)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Kind, err)
		}
		if len(failed) == 0 {
			failed = []string{"NOBODY"}
			survived++
		}
		fmt.Printf("%-16s %-18s noticed after %4.1f s by %s\n", t.Kind, t.where, time.Since(began).Seconds(), strings.Join(failed, ", "))
	}
	if survived > 0 {
		return fmt.Errorf("%d of %d breakages were not noticed", survived, len(trials))
	}
	return nil
}

var failure = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// limit is how long tests may take. Broken code may wait for ever: that is noticed too.
const limit = 2 * time.Minute

// try runs tests with one breakage, "" for none, and returns the names of those that fail.
func try(ctx context.Context, k breakage.Kind, packages ...string) (failed []string, err error) {
	args := append([]string{"test", "-tags", "breakage", "-count=1", "-timeout", limit.String()}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "KLAMM_BREAKAGE="+string(k))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil, nil
	}
	for _, m := range failure.FindAllStringSubmatch(string(out), -1) {
		failed = append(failed, m[1])
	}
	if running := regexp.MustCompile(`(?m)^\s+(Test\S+) \(\d`).FindStringSubmatch(string(out)); failed == nil && running != nil {
		failed = []string{running[1]} // it panicked, or hung
	}
	if failed == nil {
		return nil, fmt.Errorf("go test: %w\n%s", err, out)
	}
	return failed, nil
}
