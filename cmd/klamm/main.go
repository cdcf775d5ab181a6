// Command klamm is a Kafka-compatible broker and the tool that drives it, or
// any other Kafka cluster.
//
// This package only parses what the user asks for and prints what comes back;
// a subcommand is one file. It exits with 0 when all that was asked for was
// done, 1 when something failed, and 2 when the command line was wrong.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run())
}

// run is main without the exit, so that a test can call it under another name.
// The first signal ends the work in good order; a second one kills.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	env := newEnvironment()
	return env.exitCode(newRootCommand(env).ExecuteContext(ctx))
}
