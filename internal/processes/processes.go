// Package processes runs programs side by side as children of this one, and
// forwards what they print, each line under the name of who printed it.
//
// Invariant: when [Run] returns, none of its children is left.
//
// Goroutines: for each child one that reads what it prints and then waits for its
// end. They have ended when Run returns. A line is written under the mutex of the
// writer that all share.
package processes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Process is a program to run. It reads nothing, and signals of the terminal do not
// reach it.
type Process struct {
	Name string   // stands before its lines
	Path string   // of the program
	Args []string // with the program's name, as os.Args has it
	Env  []string // as os.Environ returns it
}

// Deps is what Run uses.
type Deps struct {
	Out      io.Writer     // what the children print; a line is one call, and calls do not overlap
	Patience time.Duration // how long a child may take to stop before it is killed
	// Hurry ends the patience when it is closed: what still runs is killed.
	Hurry <-chan struct{}
	// Started hears of each child, Ended of one that nobody told to stop. They are
	// called on Run's goroutine.
	Started func(name string, pid int)
	Ended   func(name string, err error)
}

// Run starts the processes in their order and waits until ctx ends. Then it stops
// them, the last first, one after the other. It ends before where all of them have
// ended, or one cannot be started. An error says of which it was so, and of which
// did not stop as it should.
func Run(ctx context.Context, list []Process, deps Deps) error {
	g := &group{deps: deps, ended: make(chan *child, len(list)), out: &lines{to: deps.Out}}
	for _, p := range list {
		g.width = max(g.width, len(p.Name))
	}
	err := g.start(list)
	if err == nil {
		err = g.watch(ctx)
	}
	return errors.Join(err, g.stop())
}

// group is the children of one Run.
type group struct {
	deps     Deps
	children []*child
	ended    chan *child // has room for all
	out      *lines
	width    int // of the longest name
}

// child is a process that was started.
type child struct {
	name string
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
	err  error         // how it ended; once gone is closed
}

func (g *group) start(list []Process) error {
	for _, p := range list {
		c, err := g.startOne(p)
		if err != nil {
			return fmt.Errorf("start %s: %w", p.Name, err)
		}
		g.children = append(g.children, c)
		g.deps.Started(c.name, c.cmd.Process.Pid)
	}
	return nil
}

func (g *group) startOne(p Process) (*child, error) {
	printed, prints, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: p.Path, Args: p.Args, Env: p.Env, Stdout: prints, Stderr: prints, SysProcAttr: apart()}
	err = cmd.Start()
	prints.Close() // the child has its own
	if err != nil {
		printed.Close()
		return nil, err
	}
	c := &child{name: p.Name, cmd: cmd, gone: make(chan struct{})}
	go func() {
		g.forward(printed, p.Name)
		printed.Close()
		c.err = cmd.Wait()
		close(c.gone)
		g.ended <- c
	}()
	return c, nil
}

// forward copies lines to the output until there are no more, each with a name in
// front.
func (g *group) forward(from io.Reader, name string) {
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			g.out.write(fmt.Sprintf("%-*s  %s", g.width, name, line))
		}
		if err != nil {
			return
		}
	}
}

// lines is a writer of whole lines.
type lines struct {
	mu sync.Mutex
	to io.Writer // guarded by mu
}

func (l *lines) write(line string) {
	if line[len(line)-1] != '\n' {
		line += "\n"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = io.WriteString(l.to, line) // whoever does not listen misses it
}

// watch waits until ctx ends, or all children have.
func (g *group) watch(ctx context.Context) error {
	for range g.children {
		select {
		case c := <-g.ended:
			g.deps.Ended(c.name, c.err)
		case <-ctx.Done():
			return nil
		}
	}
	return errors.New("all of them have ended")
}

// stop ends the children that run, the last first.
func (g *group) stop() error {
	var err error
	for _, c := range slices.Backward(g.children) {
		err = errors.Join(err, g.stopOne(c))
	}
	return err
}

func (g *group) stopOne(c *child) error {
	select {
	case <-c.gone:
		return nil // it ended by itself, which was told
	default:
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	limit := time.NewTimer(g.deps.Patience)
	defer limit.Stop()
	select {
	case <-c.gone:
		if c.err != nil {
			return fmt.Errorf("%s did not stop in order: %w", c.name, c.err)
		}
		return nil
	case <-limit.C:
	case <-g.deps.Hurry:
	}
	_ = c.cmd.Process.Kill() // it fails only where the process has ended
	<-c.gone
	return fmt.Errorf("%s was killed", c.name)
}
