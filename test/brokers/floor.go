package brokers

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"time"
)

// Floor returns the program that does the least that a broker must do, see
// test/bench/floor. It takes the loads of package load, but makes no topics and
// answers no metadata: it is started by [Broker.Launch] and [Broker.AwaitListening].
func Floor(opts Options) (*Broker, error) {
	tree, err := Tree()
	if err != nil {
		return nil, err
	}
	dir, err := Cache("bin")
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, "floor")
	build := exec.Command("go", "build", "-o", binary, "./test/bench/floor")
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the floor: %w\n%s", err, out)
	}
	b, err := newBroker("floor", opts)
	if err != nil {
		return nil, err
	}
	b.command = commandOf([]string{binary, "-addr", b.Addr, "-dir", b.Data})
	return b, nil
}

// AwaitListening returns when the process that Launch started takes connections.
func (b *Broker) AwaitListening(limit time.Duration) error {
	for until := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", b.Addr)
		if err == nil {
			return c.Close()
		}
		if err := b.exit(); err != nil {
			return fmt.Errorf("start: %w", err)
		}
		if time.Now().After(until) {
			return fmt.Errorf("start %s: nobody listens on %s, its output: %s", b.Name, b.Addr, b.Output())
		}
	}
}
