//go:build compat

package compat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// header and message are what a client sends and gets.
type header struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

type message struct {
	Partition int32    `json:"partition"`
	Timestamp int64    `json:"timestamp"` // ms
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []header `json:"headers"`
}

func (m message) String() string {
	return fmt.Sprintf("partition %d time %d key %q value %.60q headers %q", m.Partition, m.Timestamp, m.Key, m.Value, m.Headers)
}

// equal compares all that a record holds. Null and empty are not the same.
func (m message) equal(other message) bool {
	same := m.Partition == other.Partition && m.Timestamp == other.Timestamp && sameBytes(m.Key, other.Key) &&
		sameBytes(m.Value, other.Value) && len(m.Headers) == len(other.Headers)
	for i := 0; same && i < len(m.Headers); i++ {
		same = m.Headers[i].Key == other.Headers[i].Key && sameBytes(m.Headers[i].Value, other.Headers[i].Value)
	}
	return same
}

func sameBytes(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// event is a line of a program's output: see clients/README.md.
type event struct {
	Event      string  `json:"event"`
	At         int64   `json:"at"` // µs, of the one clock of this machine
	Index      int     `json:"index"`
	Offset     int64   `json:"offset"`
	Partitions []int32 `json:"partitions"`
	Text       string  `json:"message"`
	message
}

// process is one run of a client program.
type process struct {
	name   string
	cmd    *exec.Cmd
	input  io.WriteCloser
	stderr bytes.Buffer // to be read when done is closed
	done   chan struct{}

	mu     sync.Mutex
	events []event       // guarded by mu
	more   chan struct{} // guarded by mu: closed and replaced when events grows
	err    error         // guarded by mu: how it ended
}

// runLimit bounds how long one program may run.
const runLimit = 3 * time.Minute

// start runs one verb of a client against the shared broker.
func start(t *testing.T, c client, verb, topic string, options ...string) *process {
	t.Helper()
	return startAt(t, broker(t).Addr, c, verb, topic, options...)
}

// startAt runs one verb of a client. The process is killed when the test ends.
func startAt(t *testing.T, addr string, c client, verb, topic string, options ...string) *process {
	t.Helper()
	argv := append(c.argv(t), verb, addr, topic)
	argv = append(argv, options...)
	p := &process{name: c.name + " " + verb, cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(out)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// read gathers what the program prints until it ends.
func (p *process) read(out io.Reader) {
	defer close(p.done)
	var failed error
	in := json.NewDecoder(out)
	for {
		var e event
		if err := in.Decode(&e); err != nil {
			if !errors.Is(err, io.EOF) {
				failed = fmt.Errorf("its output: %w", err)
				_ = p.cmd.Process.Kill()
			}
			break
		}
		if e.Event == "error" {
			failed = errors.Join(failed, errors.New(e.Text))
		}
		p.add(e)
	}
	err := errors.Join(failed, p.cmd.Wait())
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
}

func (p *process) add(e event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
	close(p.more)
	p.more = make(chan struct{})
}

// seen returns the events so far, and a channel that is closed with the next one.
func (p *process) seen() ([]event, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.events, p.more
}

// await waits until holds is true, which may change with each event of the
// processes. One that ends in between fails the test.
func await(t *testing.T, what string, of []*process, holds func() bool) {
	t.Helper()
	limit := time.After(runLimit)
	for {
		cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(limit)}}
		for _, p := range of {
			_, more := p.seen()
			cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(more)},
				reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(p.done)})
		}
		if holds() {
			return
		}
		switch chosen, _, _ := reflect.Select(cases); {
		case chosen == 0:
			t.Fatalf("not so after %s: %s\n%s", runLimit, what, histories(of))
		case chosen%2 == 0:
			t.Fatalf("%s ended before this was so: %s\n%s", of[chosen/2-1].name, what, histories(of))
		}
	}
}

// histories tells what the processes did, but for single records.
func histories(of []*process) string {
	var text strings.Builder
	for _, p := range of {
		events, _ := p.seen()
		fmt.Fprintf(&text, "%s:", p.name)
		read := 0
		for _, e := range events {
			if e.Event == "record" {
				read++
				continue
			}
			fmt.Fprintf(&text, " %d records, %s %v%s,", read, e.Event, e.Partitions, e.Text)
			read = 0
		}
		fmt.Fprintf(&text, " %d records\n", read)
	}
	return text.String()
}

// finish waits for the program and returns its events. A failure fails the test.
func (p *process) finish(t *testing.T) []event {
	t.Helper()
	if err := p.ended(t); err != nil {
		t.Fatalf("%s: %v; stderr: %s", p.name, err, tail(p.stderr.String()))
	}
	return p.events
}

// ended waits for the program and returns how it ended.
func (p *process) ended(t *testing.T) error {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(runLimit):
		_ = p.cmd.Process.Kill()
		<-p.done
		t.Fatalf("%s: not done in %s after %d events; stderr: %s", p.name, runLimit, len(p.events), tail(p.stderr.String()))
	}
	return p.err
}

func tail(s string) string { return s[max(0, len(s)-2000):] }

// produce sends messages and returns the offset that each was acknowledged with.
func produce(t *testing.T, c client, topic, codec string, messages []message, options ...string) []int64 {
	t.Helper()
	p := start(t, c, "produce", topic, append(options, "codec="+codec)...)
	p.give(t, messages)
	return p.offsets(t, len(messages))
}

// give hands a producer all that it is to send.
func (p *process) give(t *testing.T, messages []message) {
	t.Helper()
	var lines strings.Builder
	enc := json.NewEncoder(&lines)
	for _, m := range messages {
		if err := enc.Encode(m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(p.input, lines.String()); err != nil {
		t.Logf("%s reads no more: %v", p.name, err) // what it says itself tells why
	}
	p.input.Close()
}

// offsets waits for a producer and returns where each of its records went.
func (p *process) offsets(t *testing.T, count int) []int64 {
	t.Helper()
	offsets := make([]int64, count)
	for i := range offsets {
		offsets[i] = -1
	}
	for _, e := range p.finish(t) {
		if e.Event == "acked" {
			offsets[e.Index] = e.Offset
		}
	}
	for i, offset := range offsets {
		if offset < 0 {
			t.Fatalf("%s: record %d was not acknowledged", p.name, i)
		}
	}
	return offsets
}

// consume reads count records without a group.
func consume(t *testing.T, c client, topic string, count int, options ...string) []event {
	t.Helper()
	p := start(t, c, "consume", topic, append(options, fmt.Sprintf("count=%d", count))...)
	p.input.Close()
	return p.finish(t)
}

// records returns the events that are records.
func records(events []event) []event {
	var found []event
	for _, e := range events {
		if e.Event == "record" {
			found = append(found, e)
		}
	}
	return found
}
