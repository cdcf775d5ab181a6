//go:build chaos

package chaos

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/test/history"
)

// stopLimit bounds a stop in order. It takes some ten milliseconds on free cores;
// what hangs is cut off only after 10 s.
const stopLimit = 8 * time.Second

// TestStopsUnderLoad sends SIGTERM in the middle of producing and of consumer
// groups at work. The broker ends soon and with exit status 0, hangs up on
// clients in order, leaves its folder marked as closed in order, and loses
// nothing that it confirmed.
func TestStopsUnderLoad(t *testing.T) {
	const seed = 1
	s := newStorm(t, seed)
	load, calm := context.WithCancel(t.Context())
	defer calm()
	s.begin(load, seed)
	for range 5 {
		s.awaitProgress()
		s.stopInOrder()
		if err := s.broker.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.look()
	}
	calm()
	s.working.Wait()
	s.reportFailures()
	history.ReadAll(t, s.broker.Seeds(), s.checker, s.targets)
	if torn, err := s.broker.Lines("was not closed in order"); err != nil || len(torn) > 0 {
		t.Errorf("a stop in order was not one: %q (%v)", torn, err)
	}
	if err := s.broker.Stop(); err != nil {
		t.Error(err)
	}
	s.verifyFiles()
	wantNoErrors(t, s.broker)
	s.report(seed)
}

// stopInOrder stops the broker and checks how it ends.
func (s *storm) stopInOrder() {
	s.t.Helper()
	idle := dialMany(s.t, s.broker.Addr, 1)
	if _, err := idle[0].RoundTrip(kmsg.NewPtrMetadataRequest()); err != nil {
		s.t.Fatal(err)
	}
	began := time.Now()
	if err := s.broker.Stop(); err != nil {
		s.t.Fatal(err)
	}
	took := time.Since(began)
	s.stopped++
	if code := s.broker.ExitCode(); code != 0 || took > stopLimit {
		s.t.Errorf("the broker ended with status %d after %s, want 0 within %s", code, took, stopLimit)
	}
	s.t.Logf("stopped in %s", took.Round(time.Millisecond))
	if _, err := os.Stat(filepath.Join(s.broker.Data, ".kafka_cleanshutdown")); err != nil {
		s.t.Errorf("the folder is not marked as closed in order: %v", err)
	}
	if _, err := idle[0].Receive(); !errors.Is(err, io.EOF) {
		s.t.Errorf("an idle connection ends with %v, want EOF", err)
	}
}
