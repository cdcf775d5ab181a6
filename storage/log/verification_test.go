package log

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// A transaction begins in a partition only under a verification, and a marker
// that came meanwhile makes it void.
func TestVerification(t *testing.T) {
	p := newProducers()
	first := sent{1, 0, 0, 1, 10, true}
	appends := func(what string, s sent, number uint64, want error) {
		t.Helper()
		if _, err := p.check(s.batch(t), &AppendOptions{Verification: number}); !errors.Is(err, want) || (err != nil) != (want != nil) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	appends("without", first, 0, kerr.InvalidTxnState)
	number := p.beginVerification(1, 0, 0)
	appends("with a forged number", first, number+1, kerr.InvalidTxnState)
	appends("of another epoch", sent{1, 1, 0, 1, 10, true}, number, kerr.InvalidTxnState)
	if again := p.beginVerification(1, 0, 0); again != number {
		t.Errorf("two requests of one producer verify under %d and %d", number, again)
	}
	appends("outside of a transaction", sent{1, 0, 0, 1, 10, false}, 0, nil)
	appends("with the number", first, number, nil)

	p.update(markerBatch(t, 1, 0, record.ControlAbort, 1, 10), 0)
	appends("after a marker", first, number, kerr.InvalidTxnState)

	number = p.beginVerification(1, 0, 0)
	p.update(first.batch(t), 0)
	if open := p.beginVerification(1, 0, 0); open != 0 {
		t.Errorf("an open transaction is verified again, under %d", open)
	}
	appends("a second batch", sent{1, 0, 1, 1, 11, true}, 0, nil)
	p.update(markerBatch(t, 1, 0, record.ControlCommit, 1, 12), 0)
	appends("the next transaction under the last one's", sent{1, 0, 1, 1, 13, true}, number, kerr.InvalidTxnState)

	p.beginVerification(7, 0, 1000)
	p.expire(1500, 600)
	if len(p.verifying) != 1 {
		t.Errorf("%d verifications are kept, one is young", len(p.verifying))
	}
	p.expire(1600, 600)
	if len(p.verifying) != 0 {
		t.Errorf("%d verifications are kept for ever", len(p.verifying))
	}
}

// Where each transaction has its own epoch, a marker that comes again does not end
// the transaction after its own.
func TestMarkerThatComesAgain(t *testing.T) {
	p := newProducers()
	p.update(sent{1, 5, 0, 1, 10, true}.batch(t), 0)
	marker := markerBatch(t, 1, 6, record.ControlCommit, 1, 11)
	each := &AppendOptions{Origin: FromCoordinator, MarkerEpochEach: true}
	for _, what := range []string{"first", "again, with nothing open"} {
		if _, err := p.check(marker, each); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		p.update(marker, 0)
	}
	p.update(sent{1, 6, 0, 1, 12, true}.batch(t), 0)
	if _, err := p.check(marker, each); !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Errorf("into the next transaction: got %v", err)
	}
	if _, err := p.check(marker, &AppendOptions{Origin: FromCoordinator}); err != nil {
		t.Errorf("where transactions share an epoch it is the present one's: got %v", err)
	}
}

// The last stable offset stays before a transaction until its marker is committed.
func TestLastStableWaitsForTheMarker(t *testing.T) {
	l := openTestLog(t, openTestDir(t, disk.NewMemory(), "/d"), testConfig())
	number := l.BeginVerification(1, 0, 0)
	at := time.UnixMilli(1000)
	for _, a := range []struct {
		batch record.Batch
		o     AppendOptions
	}{
		{sent{producer: 2, epoch: 0, count: 3}.batch(t), AppendOptions{Now: at}},
		{sent{producer: 1, epoch: 0, txn: true}.batch(t), AppendOptions{Now: at, Verification: number}},
		{markerBatch(t, 1, 0, record.ControlCommit, 1, 0), AppendOptions{Now: at, Origin: FromCoordinator}},
	} {
		if _, err := l.Append(a.batch, a.o); err != nil {
			t.Fatal(err)
		}
	}
	for hw, want := range map[int64]int64{2: 2, 3: 3, 4: 3, 5: 5} {
		if got := l.LastStable(hw); got != want {
			t.Errorf("with high watermark %d: last stable %d, want %d", hw, got, want)
		}
	}
}
