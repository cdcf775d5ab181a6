package quorum

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

type deaf struct{}

func (deaf) Flushed(time.Duration)           {}
func (deaf) Damaged(protocol.TopicPartition) {}

var small = Config{NodeID: 1, ClusterID: "c", SegmentBytes: 4 << 10, SnapshotBytes: 8 << 10}

// member is a quorum in its folder.
type member struct {
	*Quorum
	dir *log.Dir
}

func openNode(fsys disk.FS, c Config) (*member, error) { return openNodeTo(fsys, c, nil) }

func openNodeTo(fsys disk.FS, c Config, send func(int32, []byte)) (*member, error) {
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	dir, err := log.OpenDir("/data", log.DirConfig{NodeID: c.NodeID, RetentionInterval: time.Second, CheckpointInterval: time.Minute},
		log.Deps{FS: fsys, Logger: logger, Observe: deaf{}})
	if err != nil {
		return nil, err
	}
	if send != nil {
		err = dir.Format(c.ClusterID)
	}
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	d := Deps{Dir: dir, FS: fsys, Logger: logger}
	if send != nil {
		d.Send = func(to int32, _ []metadata.Endpoint, m []byte) { send(to, m) }
	}
	q, err := Open(c, d)
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return &member{q, dir}, nil
}

func mustOpen(t testing.TB, fsys disk.FS, c Config) *member {
	t.Helper()
	n, err := openNode(fsys, c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *member) stop() error { return errors.Join(n.Close(), n.dir.Close()) }

func (n *member) mustStop(t testing.TB) {
	t.Helper()
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
}

// nextIDs hands out ten producer ids: a decision that depends on the last one.
func nextIDs(img *metadata.Image) ([]metadata.Record, error) {
	return []metadata.Record{&metadata.ProducerIDsAllocated{Next: img.NextProducerID + 10}}, nil
}

func createTopic(name string) func(*metadata.Image) ([]metadata.Record, error) {
	return func(*metadata.Image) ([]metadata.Record, error) {
		return []metadata.Record{&metadata.TopicCreated{Topic: metadata.Topic{
			Name: name, ID: protocol.NewTopicID(), Partitions: []metadata.Partition{{Leader: 1, Replicas: []int32{1}, ISR: []int32{1}}}}}}, nil
	}
}

func mustPropose(t testing.TB, n *member, decide func(*metadata.Image) ([]metadata.Record, error)) *metadata.Image {
	t.Helper()
	img, err := n.Propose(t.Context(), decide)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func encoded(img *metadata.Image) []byte {
	var b []byte
	for r := range img.Records() {
		b = metadata.Encode(b, r)
	}
	return b
}

func TestReopen(t *testing.T) {
	fsys := disk.NewMemory()
	n := mustOpen(t, fsys, small)
	if img := n.Image(); img.ClusterID != "c" || img.ControllerID != 1 {
		t.Fatalf("a new cluster is %q led by %d", img.ClusterID, img.ControllerID)
	}
	for i := range 100 {
		mustPropose(t, n, createTopic(fmt.Sprintf("topic-%d", i)))
		n.snapshot()
	}
	want := encoded(n.Image())
	n.mustStop(t)
	n = mustOpen(t, fsys, small)
	defer n.mustStop(t)
	if !bytes.Equal(encoded(n.Image()), want) {
		t.Error("another image after the restart")
	}
	if n.journal.log.Start() == 0 {
		t.Error("no snapshot was written")
	}
}

func TestProposeReturnsAfterObservers(t *testing.T) {
	n := mustOpen(t, disk.NewMemory(), small)
	defer n.mustStop(t)
	var seen []string
	for _, who := range []string{"first", "second"} {
		n.Observe(func(img *metadata.Image, d *metadata.Delta) {
			if img != n.Image() {
				t.Error("observed before it counts")
			}
			seen = append(seen, who+" "+d.TopicsCreated[0].Name)
		})
	}
	mustPropose(t, n, createTopic("a"))
	mustPropose(t, n, createTopic("b"))
	if want := []string{"first a", "second a", "first b", "second b"}; !slices.Equal(seen, want) {
		t.Errorf("observed %v, want %v", seen, want)
	}
}

func TestProposeNothing(t *testing.T) {
	n := mustOpen(t, disk.NewMemory(), small)
	defer n.mustStop(t)
	n.Observe(func(*metadata.Image, *metadata.Delta) { t.Error("observed") })
	before, end := n.Image(), n.journal.log.End()
	img := mustPropose(t, n, func(*metadata.Image) ([]metadata.Record, error) { return nil, nil })
	why := errors.New("no")
	_, err := n.Propose(t.Context(), func(*metadata.Image) ([]metadata.Record, error) { return nil, why })
	if err != why {
		t.Errorf("got %v, want decide's own error", err)
	}
	_, err = n.Propose(t.Context(), func(*metadata.Image) ([]metadata.Record, error) {
		return []metadata.Record{&metadata.TopicDeleted{}}, nil
	})
	if err == nil {
		t.Error("a decision that does not fit was taken")
	}
	if img != before || n.Image() != before || n.journal.log.End() != end {
		t.Error("something changed")
	}
}

// TestProposeOneAtATime: every decision sees the one before.
func TestProposeOneAtATime(t *testing.T) {
	n := mustOpen(t, disk.NewMemory(), small)
	defer n.mustStop(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { mustPropose(t, n, nextIDs) })
	}
	all.Wait()
	if next := n.Image().NextProducerID; next != 500 {
		t.Errorf("next producer id %d, want 500", next)
	}
}

func TestProposeEndsWithContextOrQuorum(t *testing.T) {
	n := mustOpen(t, disk.NewMemory(), small)
	ctx, cancel := context.WithCancel(t.Context())
	mustPropose(t, n, func(*metadata.Image) ([]metadata.Record, error) {
		cancel()
		_, err := n.Propose(ctx, nextIDs)
		if !errors.Is(err, context.Canceled) || protocol.ErrorCode(err) != kerr.RequestTimedOut.Code {
			t.Errorf("waiting for the turn: %v", err)
		}
		return nil, nil
	})
	n.mustStop(t)
	if _, err := n.Propose(t.Context(), nextIDs); !errors.Is(err, kerr.NotController) {
		t.Errorf("after Close: %v", err)
	}
	n.mustStop(t)
}

func TestDiskFull(t *testing.T) {
	faulty := disk.NewFaulty(disk.NewMemory())
	n := mustOpen(t, faulty, small)
	mustPropose(t, n, nextIDs)
	before := n.Image()
	for name, fault := range map[string]func(){
		"full": func() { faulty.Full(true) },
		"torn": func() { faulty.FailWrite(1) },
	} {
		fault()
		_, err := n.Propose(t.Context(), nextIDs)
		if protocol.ErrorCode(err) != kerr.KafkaStorageError.Code || n.Image() != before {
			t.Errorf("%s: %v, applied: %v", name, err, n.Image() != before)
		}
		faulty.Heal()
	}
	if img := mustPropose(t, n, nextIDs); img.NextProducerID != 20 {
		t.Errorf("next producer id %d after there was room again, want 20", img.NextProducerID)
	}
	n.mustStop(t)
}

func TestFlushFails(t *testing.T) {
	faulty := disk.NewFaulty(disk.NewMemory())
	n := mustOpen(t, faulty, small)
	before := n.Image()
	faulty.FailSync(true)
	for range 2 {
		_, err := n.Propose(t.Context(), nextIDs)
		if protocol.ErrorCode(err) != kerr.KafkaStorageError.Code || n.Image() != before {
			t.Errorf("%v, applied: %v", err, n.Image() != before)
		}
	}
	faulty.Heal()
	if _, err := n.Propose(t.Context(), nextIDs); protocol.ErrorCode(err) != kerr.KafkaStorageError.Code {
		t.Errorf("after a failed flush nobody knows what is on the disk, but a decision was taken: %v", err)
	}
	n.stop()
}

func TestTooLarge(t *testing.T) {
	n := mustOpen(t, disk.NewMemory(), small)
	defer n.mustStop(t)
	_, err := n.Propose(t.Context(), createTopic(strings.Repeat("x", small.SegmentBytes)))
	if !errors.Is(err, kerr.PolicyViolation) {
		t.Errorf("got %v", err)
	}
	mustPropose(t, n, createTopic("small"))
}

func TestOtherCluster(t *testing.T) {
	fsys := disk.NewMemory()
	mustOpen(t, fsys, small).mustStop(t)
	other := small
	other.ClusterID = "d"
	if _, err := openNode(fsys, other); err == nil || !strings.Contains(err.Error(), "of cluster c") {
		t.Errorf("opened as cluster d: %v", err)
	}
}

// TestLogStaysSmall: the log does not grow with the number of decisions.
func TestLogStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := disk.NewMemory()
		n := mustOpen(t, fsys, small)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { n.Run(ctx) })
		running.Go(func() { n.dir.Run(ctx) })
		largest := int64(0)
		for range 3000 {
			mustPropose(t, n, nextIDs)
			time.Sleep(100 * time.Millisecond)
			largest = max(largest, n.journal.log.Size())
		}
		if most := 5 * small.SnapshotBytes; largest > most {
			t.Errorf("the log grew to %d bytes, want %d at most", largest, most)
		}
		snapshots, err := n.journal.snapshots()
		if err != nil || len(snapshots) != 1 {
			t.Errorf("snapshots %v, %v: want the newest only", snapshots, err)
		}
		cancel()
		running.Wait()
		n.mustStop(t)
		n = mustOpen(t, fsys, small)
		if next := n.Image().NextProducerID; next != 30_000 {
			t.Errorf("next producer id %d after the restart, want 30000", next)
		}
		n.mustStop(t)
	})
}
