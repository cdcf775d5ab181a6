package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// defaultBrokers is where `klamm serve` listens when told nothing else.
const defaultBrokers = "127.0.0.1:9092"

// environment is the world around a command: its streams, and the settings
// that all commands share.
type environment struct {
	in     *os.File
	out    io.Writer
	errOut *os.File

	brokers []string  // host:port of the cluster, from flag, variable or default
	client  []string  // KEY=VALUE of the client, from -X
	login   login     // who the client is, from flags
	options []kgo.Opt // what they come to
}

// newEnvironment is the environment of this process.
func newEnvironment() *environment {
	brokers := os.Getenv("KLAMM_BROKERS")
	if strings.TrimSpace(brokers) == "" {
		brokers = defaultBrokers
	}
	return &environment{in: os.Stdin, out: os.Stdout, errOut: os.Stderr, brokers: splitList(brokers)}
}

// note tells the user something beside the result, which goes to standard
// output.
func (e *environment) note(format string, args ...any) {
	fmt.Fprintf(e.errOut, format+"\n", args...)
}

// isTerminal says whether a person is at the other end.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

// splitList splits at commas and drops blanks.
func splitList(list string) []string {
	var parts []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
