package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Exit codes of every command.
const (
	exitOK    = 0
	exitFail  = 1
	exitUsage = 2
)

// usageError is a command line that cannot be carried out as it is written.
type usageError struct {
	cmd     *cobra.Command
	message string
}

func (e usageError) Error() string { return e.message }

// badUsage is a usageError with a formatted message.
func badUsage(cmd *cobra.Command, format string, args ...any) error {
	return usageError{cmd, fmt.Sprintf(format, args...)}
}

// arguments demands between least and most arguments (most < 0: no limit) and
// says in the command's own words what is missing.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return badUsage(cmd, "%s needs more: %s", cmd.CommandPath(), cmd.UseLine())
		case most >= 0 && len(args) > most:
			return badUsage(cmd, "%s does not know what to do with %q: %s", cmd.CommandPath(), args[most], cmd.UseLine())
		}
		return nil
	}
}

// exitCode prints the error, if there is one, and turns it into the code of the
// process.
func (e *environment) exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		e.note("klamm: %s\nSee `%s --help`.", usage.message, usage.cmd.CommandPath())
		return exitUsage
	case errors.Is(err, context.Canceled):
		e.note("klamm: interrupted")
		return exitFail
	}
	e.note("klamm: %v", err)
	return exitFail
}

// reason is what went wrong in few words: a network error without the
// addresses, which the message around it names, and a Kafka error with the
// cluster's words where it gave any.
func reason(err error, clusterSays string) string {
	var system *os.SyscallError
	var lookup *net.DNSError
	var kafka *kerr.Error
	var shards *kadm.ShardErrors
	switch {
	case errors.As(err, &shards) && len(shards.Errs) > 0:
		return reason(shards.Errs[0].Err, clusterSays)
	case errors.As(err, &system):
		return system.Err.Error()
	case errors.As(err, &lookup):
		return lookup.Err
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &kafka) && clusterSays != "":
		return fmt.Sprintf("%s (%s)", strings.TrimSuffix(clusterSays, "."), kafka.Message)
	case errors.As(err, &kafka):
		return fmt.Sprintf("%s (%s)", strings.TrimSuffix(kafka.Description, "."), kafka.Message)
	}
	return err.Error()
}

// failures gathers what failed where a command works on several things, so
// that one failure does not hide the others.
type failures struct{ errs []error }

func (f *failures) add(format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf(format, args...))
}

func (f *failures) err() error { return errors.Join(f.errs...) }
