package processes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain lets this binary be the children as well.
func TestMain(m *testing.M) {
	if how := os.Getenv("CHILD"); how != "" {
		child0(how)
		return
	}
	os.Exit(m.Run())
}

// child0 is what a child does: it says that it runs, and what it is told to do.
func child0(how string) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, os.Interrupt)
	switch how {
	case "fails":
		fmt.Fprintln(os.Stderr, "cannot")
		os.Exit(3)
	case "is deaf":
		fmt.Println("runs")
		for range told {
		}
	}
	fmt.Println("runs")
	fmt.Printf("told to stop: %v", <-told) // without an end of the line
	if how == "stops badly" {
		os.Exit(4)
	}
}

// screen is what was printed.
type screen struct {
	mu   sync.Mutex
	text string
	grew chan struct{}
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text += string(b)
	select {
	case s.grew <- struct{}{}:
	default:
	}
	return len(b), nil
}

// await waits until a text was printed so many times.
func (s *screen) await(t *testing.T, text string, times int) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		s.mu.Lock()
		have := strings.Count(s.text, text)
		s.mu.Unlock()
		if have >= times {
			return
		}
		select {
		case <-s.grew:
		case <-limit:
			t.Fatalf("%q was not printed %d times:\n%s", text, times, s.text)
		}
	}
}

func list(how ...string) (all []Process) {
	for i, h := range how {
		all = append(all, Process{Name: "node-" + strings.Repeat("i", i+1), Path: os.Args[0], Args: os.Args[:1], Env: append(os.Environ(), "CHILD="+h)})
	}
	return all
}

// run is one Run of children that do as they are told, which the test steers.
type run struct {
	out    *screen
	stop   context.CancelFunc
	hurry  chan struct{}
	result chan error
	ends   chan string // of children that nobody stopped
	pids   []int       // once Run has returned
}

func start(t *testing.T, patience time.Duration, how ...string) *run {
	ctx, stop := context.WithCancel(t.Context())
	r := &run{out: &screen{grew: make(chan struct{}, 1)}, stop: stop, hurry: make(chan struct{}), result: make(chan error, 1), ends: make(chan string, len(how))}
	go func() {
		r.result <- Run(ctx, list(how...), Deps{
			Out: r.out, Patience: patience, Hurry: r.hurry,
			Started: func(_ string, pid int) { r.pids = append(r.pids, pid) },
			Ended:   func(name string, err error) { r.ends <- fmt.Sprint(name, ": ", err) },
		})
	}()
	return r
}

// wait returns Run's error, and makes sure that nobody is left.
func (r *run) wait(t *testing.T) error {
	t.Helper()
	err := <-r.result
	for _, pid := range r.pids {
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("process %d is left", pid)
		}
	}
	return err
}

func TestChildrenAreStoppedInOrder(t *testing.T) {
	r := start(t, time.Minute, "obeys", "obeys", "obeys")
	r.out.await(t, "runs\n", 3)
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
	all := strings.Split(strings.TrimSuffix(r.out.text, "\n"), "\n")
	ran := all[:3]
	slices.Sort(ran)
	want := []string{"node-i    runs", "node-ii   runs", "node-iii  runs",
		"node-iii  told to stop: terminated", "node-ii   told to stop: terminated", "node-i    told to stop: terminated"}
	if got := append(ran, all[3:]...); !slices.Equal(got, want) {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// One that ends by itself does not end the others, until it is the last.
func TestAChildThatEnds(t *testing.T) {
	r := start(t, time.Minute, "obeys", "fails", "obeys")
	if got := <-r.ends; got != "node-ii: exit status 3" {
		t.Errorf("it is told: %s", got)
	}
	r.out.await(t, "runs\n", 2)
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
	if !strings.Contains(r.out.text, "node-ii   cannot\n") {
		t.Errorf("printed %q", r.out.text)
	}

	r = start(t, time.Minute, "fails", "fails")
	if err := r.wait(t); err == nil || err.Error() != "all of them have ended" {
		t.Errorf("error %v", err)
	}
}

func TestChildrenThatDoNotStop(t *testing.T) {
	r := start(t, 10*time.Millisecond, "obeys", "is deaf")
	r.out.await(t, "runs\n", 2)
	r.stop()
	if err := r.wait(t); err == nil || err.Error() != "node-ii was killed" {
		t.Errorf("error %v", err)
	}

	r = start(t, time.Hour, "is deaf", "stops badly")
	r.out.await(t, "runs\n", 2)
	r.stop()
	r.out.await(t, "told to stop", 1)
	close(r.hurry)
	err := r.wait(t)
	if err == nil || !strings.Contains(err.Error(), "node-ii did not stop in order: exit status 4\nnode-i was killed") &&
		!strings.Contains(err.Error(), "node-ii was killed\nnode-i was killed") {
		t.Errorf("error %v", err)
	}
}

func TestAChildThatCannotBeStarted(t *testing.T) {
	all := list("obeys", "obeys")
	all[1].Path = "/nowhere"
	r := &run{}
	err := Run(t.Context(), all, Deps{Out: &screen{}, Patience: time.Minute, Started: func(_ string, pid int) { r.pids = append(r.pids, pid) }})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "start node-ii") {
		t.Errorf("error %v", err)
	}
	if len(r.pids) != 1 || syscall.Kill(r.pids[0], 0) == nil {
		t.Errorf("started %v, of which one is left", r.pids)
	}
}
