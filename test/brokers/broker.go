package brokers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Broker is one broker process and the folder that its data outlives it in.
// Its methods are for one goroutine at a time.
type Broker struct {
	Name string // "klamm" or "apache"
	Addr string // host:port of its listener
	Data string // its log.dirs

	command func() *exec.Cmd      // a fresh command for each start
	output  string                // file that gets its standard output and error
	process *exec.Cmd             // nil while it is stopped
	exited  chan *os.ProcessState // receives once, when process ends
	last    *os.ProcessState      // how the process ended that was waited for last
	paused  bool                  // by SIGSTOP
}

// Options say how a broker is started.
type Options struct {
	Dir      string            // its folder; data and output go below it
	Settings map[string]string // server.properties keys over the ones a test broker needs
	// Controllers are how many nodes of a cluster are controllers and no brokers; with none
	// all brokers are controllers.
	Controllers int
	Java        []string // options of Apache Kafka's JVM; nil are those of a small heap
}

// startLimit bounds how long a broker may take to answer. Apache Kafka needs
// 3 s on two free cores.
const startLimit = 2 * time.Minute

// Start starts the process and returns when it answers with itself as a broker.
func (b *Broker) Start(ctx context.Context) error {
	if err := b.Launch(); err != nil {
		return err
	}
	return b.Await(ctx)
}

// Launch starts the process and does not wait until it answers.
func (b *Broker) Launch() error {
	if b.process != nil {
		return fmt.Errorf("start %s: it runs", b.Name)
	}
	out, err := os.OpenFile(b.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", b.Name, err)
	}
	defer out.Close()
	cmd := b.command()
	cmd.Stdout, cmd.Stderr = out, out
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", b.Name, err)
	}
	exited := make(chan *os.ProcessState, 1)
	go func() {
		_ = cmd.Wait() // says what the state does
		exited <- cmd.ProcessState
	}()
	b.process, b.exited = cmd, exited
	return nil
}

// Await returns when the process that Launch started answers with itself as a
// broker, or ended before it did.
func (b *Broker) Await(ctx context.Context) error {
	if b.process == nil {
		return fmt.Errorf("await %s: it was not started", b.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		if err := b.answers(); err == nil {
			return nil
		}
		if err := b.exit(); err != nil {
			return fmt.Errorf("start: %w", err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("start %s: no answer on %s, its output: %s", b.Name, b.Addr, b.Output()), b.Kill())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// endedError says that a process ended by itself, and how.
type endedError string

func (e endedError) Error() string { return string(e) }

// exit returns an endedError where the process that Launch started has ended by
// itself.
func (b *Broker) exit() error {
	select {
	case b.last = <-b.exited:
		b.process, b.exited = nil, nil
		return endedError(fmt.Sprintf("%s ended (%s), its output: %s", b.Name, b.last, b.Output()))
	default:
		return nil
	}
}

// AwaitEnd waits until the process that Launch started has ended without Stop or Kill, as
// one that is restarted by others, or until ctx ends.
func (b *Broker) AwaitEnd(ctx context.Context) error {
	if b.process == nil {
		return fmt.Errorf("wait for the end of %s: it was not started", b.Name)
	}
	select {
	case b.last = <-b.exited:
		b.process, b.exited = nil, nil
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Broker) answers() error {
	m, err := b.metadata()
	if err == nil && len(m.Brokers) == 0 {
		err = errors.New("it knows no broker yet")
	}
	return err
}

// Ended reports whether the process that was launched last has ended, by itself or not.
func (b *Broker) Ended() bool { return b.process == nil || b.exit() != nil }

// Seeds are the addresses by which clients find the broker.
func (b *Broker) Seeds() []string { return []string{b.Addr} }

// PID returns the process id, 0 while the broker is stopped.
func (b *Broker) PID() int {
	if b.process == nil {
		return 0
	}
	return b.process.Process.Pid
}

// ExitCode is the exit status of the process that ended last, -1 where a signal
// ended it.
func (b *Broker) ExitCode() int { return b.last.ExitCode() }

// Kill ends the process with SIGKILL and waits for it.
func (b *Broker) Kill() error { return b.end(syscall.SIGKILL, time.Minute) }

// Stop asks the process to end with SIGTERM and waits for it. A broker that
// takes more than a minute is killed and reported.
func (b *Broker) Stop() error { return b.end(syscall.SIGTERM, time.Minute) }

// Pause stops the process where it is, with SIGSTOP, as a machine that hangs.
func (b *Broker) Pause() error { return b.freeze(true, syscall.SIGSTOP) }

// Continue lets a process go on that Pause stopped.
func (b *Broker) Continue() error { return b.freeze(false, syscall.SIGCONT) }

func (b *Broker) freeze(paused bool, sig syscall.Signal) error {
	if b.process == nil {
		return fmt.Errorf("send %s to %s: it does not run", sig, b.Name)
	}
	if err := b.process.Process.Signal(sig); err != nil {
		return fmt.Errorf("send %s to %s: %w", sig, b.Name, err)
	}
	b.paused = paused
	return nil
}

// Awake says that the process was started, and neither ended nor paused since.
func (b *Broker) Awake() bool { return b.process != nil && !b.paused }

func (b *Broker) end(sig syscall.Signal, limit time.Duration) error {
	if b.process == nil {
		return nil
	}
	if b.paused && sig != syscall.SIGKILL {
		if err := b.Continue(); err != nil {
			return err
		}
	}
	b.paused = false
	if err := b.process.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", b.Name, err)
	}
	select {
	case b.last = <-b.exited:
		b.process = nil
		return nil
	case <-time.After(limit):
	}
	_ = b.process.Process.Kill()
	b.last = <-b.exited
	b.process = nil
	return fmt.Errorf("end %s: it ignored %s for %s", b.Name, sig, limit)
}

// Output returns the end of what the broker printed.
func (b *Broker) Output() string { return b.tail(4096) }

func (b *Broker) tail(bytes int) string {
	data, err := os.ReadFile(b.output)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-bytes):])
}

// Lines returns the lines of all that the broker printed that contain text.
func (b *Broker) Lines(text string) ([]string, error) {
	data, err := os.ReadFile(b.output)
	if err != nil {
		return nil, fmt.Errorf("read what %s printed: %w", b.Name, err)
	}
	var found []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, text) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found, nil
}

// newBroker fills in what both kinds share and makes their folders.
func newBroker(name string, opts Options) (*Broker, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	return newBrokerAt(name, opts.Dir, ports[0])
}

func newBrokerAt(name, dir string, port int) (*Broker, error) {
	b := &Broker{
		Name:   name,
		Addr:   fmt.Sprintf("127.0.0.1:%d", port),
		Data:   filepath.Join(dir, name+"-data"),
		output: filepath.Join(dir, name+".log"),
	}
	if err := os.MkdirAll(b.Data, 0o755); err != nil {
		return nil, fmt.Errorf("make a folder for %s: %w", name, err)
	}
	return b, nil
}

// commandOf makes a fresh command of a command line whenever it is asked.
func commandOf(line []string) func() *exec.Cmd {
	return func() *exec.Cmd { return exec.Command(line[0], line[1:]...) }
}

// Ports are taken below those that the kernel gives to outgoing connections: a
// client that connects again and again to a stopped broker's port would else get
// that port itself one day, and talk to itself.
const lowestPort, highestPort = 10_000, 32_000

// freePorts returns n ports of 127.0.0.1 that nothing listened on just now.
func freePorts(n int) ([]int, error) {
	var ports []int
	var err error
	for range 100 * n {
		var l net.Listener
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
			continue
		}
		defer l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("find a free port: %w", err)
}
