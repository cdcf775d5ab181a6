package outbox

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lines are what happened, and when.
type lines struct {
	began time.Time
	mu    sync.Mutex
	all   []string // guarded by mu
}

func (l *lines) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, fmt.Sprintf("%v ", time.Since(l.began))+fmt.Sprintf(format, args...))
}

func (l *lines) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.all)
	slices.Sort(want)
	if !slices.Equal(l.all, want) {
		t.Errorf("got %q, want %q", l.all, want)
	}
	l.all = nil
}

// TestOneRequestAtATime: to a node; what comes meanwhile goes out together, as much as
// fits. What is put before Run waits for it, and is refused after.
func TestOneRequestAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lines{began: time.Now()}
		o := New(Config[string]{
			Limit: 3, Patience: time.Minute,
			Send: func(ctx context.Context, node int32, items []string) {
				l.note("to %d %v", node, items)
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
					l.note("%d ended", node)
				}
			},
			Refuse: func(item string) { l.note("refused %s", item) },
		})
		o.Put(2, "a")
		o.Put(2, "b")
		time.Sleep(time.Second)
		l.want(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- o.Run(ctx) }()
		o.Put(3, "a")
		l.want(t, "1s to 2 [a b]", "1s to 3 [a]")
		for _, item := range []string{"c", "d", "e", "f"} {
			o.Put(2, item)
			o.Put(3, item)
		}
		time.Sleep(1500 * time.Millisecond)
		l.want(t, "2s to 2 [c d e]", "2s to 3 [c d e]")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		l.want(t, "2.5s 2 ended", "2.5s 3 ended", "2.5s refused f", "2.5s refused f")
		o.Put(2, "g")
		l.want(t, "2.5s refused g")
	})
}

// TestGivenUp: a request ends after a time, or when the node is known to be gone.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lines{began: time.Now()}
		o := New(Config[string]{
			Limit: 3, Patience: time.Minute,
			Send: func(ctx context.Context, node int32, items []string) {
				<-ctx.Done()
				l.note("%d ended %v", node, items)
			},
			Refuse: func(string) { t.Error("refused") },
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- o.Run(ctx) }()
		o.Put(2, "a")
		o.Put(3, "b")
		time.Sleep(time.Second)
		o.GiveUp(func(node int32) bool { return node == 3 })
		l.want(t, "1s 3 ended [b]")
		time.Sleep(time.Minute)
		l.want(t, "1m0s 2 ended [a]")
		cancel()
		<-ended
	})
}
