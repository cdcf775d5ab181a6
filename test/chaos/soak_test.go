//go:build chaos

package chaos

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/load"
	"github.com/klamm-io/klamm/test/wire"
)

// footprint is what a broker holds at a moment.
type footprint struct {
	brokers.Usage
	goroutines int
	stored     int64 // bytes of all files
}

// soakFor is how long TestSoak runs, unless CHAOS_SOAK_SECONDS says otherwise.
const soakFor = 20

// TestSoak lets retention delete what is produced, consumers come and go, and
// compares what the broker holds early with what it holds late.
func TestSoak(t *testing.T) {
	seconds := number(t, "CHAOS_SOAK_SECONDS", soakFor)
	b := startKlamm(t, map[string]string{
		"log.retention.check.interval.ms": "200", "log.segment.delete.delay.ms": "100", "log.flush.offset.checkpoint.interval.ms": "1000",
	})
	const partitions, retained = 4, 4 << 20
	if err := load.CreateTopic(dialMany(t, b.Addr, 1)[0], "flow", partitions, map[string]string{
		"segment.bytes": "1048576", "retention.bytes": strconv.Itoa(retained),
	}); err != nil {
		t.Fatal(err)
	}
	s := &soak{t: t, broker: b, partitions: partitions}
	warm := s.run(time.Duration(seconds) * time.Second / 3)
	end := s.run(time.Duration(seconds) * time.Second * 2 / 3)
	t.Logf("after %d MB: %s", s.produced>>20, warm)
	t.Logf("at the end: %s", end)
	// Every partition holds what is retained, a segment that is not deleted as the rest
	// would be too small, and the active one; deleting comes a little after producing.
	if most := partitions*(retained+4<<20) + s.produced/8; end.stored > most {
		t.Errorf("%d MiB are stored, retention allows %d MiB", end.stored>>20, most>>20)
	}
	if end.goroutines > warm.goroutines+20 || end.Files > warm.Files+30 || end.Anonymous > warm.Anonymous+64<<20 {
		t.Error("the broker grows")
	}
	wantNoErrors(t, b)
}

type soak struct {
	t          *testing.T
	broker     *brokers.Broker
	partitions int32
	produced   int64
}

// run works for a while and returns what the broker holds then.
func (s *soak) run(d time.Duration) footprint {
	ctx, cancel := context.WithTimeout(s.t.Context(), d)
	defer cancel()
	batch := load.Batch(100, 1000)
	for ctx.Err() == nil {
		s.produce(batch)
		s.visit(ctx)
	}
	return s.footprint()
}

// produce writes to each partition on a connection of its own.
func (s *soak) produce(batch []byte) {
	c, err := wire.Dial(s.broker.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	for range 20 {
		for p := range s.partitions {
			resp, err := c.RoundTrip(load.Produce("flow", []int32{p}, batch))
			if err == nil {
				err = load.Produced(resp.(*kmsg.ProduceResponse))
			}
			if err != nil {
				s.t.Fatal(err)
			}
			s.produced += int64(len(batch))
		}
	}
}

// visit joins a group, reads a little, commits and leaves.
func (s *soak) visit(ctx context.Context) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Addr), kgo.ConsumerGroup("visitors"), kgo.ConsumeTopics("flow"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxBytes(1<<20))
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	cl.PollFetches(ctx)
	if err := cl.CommitUncommittedOffsets(ctx); err != nil && ctx.Err() == nil {
		s.t.Errorf("commit: %v", err)
	}
}

func (s *soak) footprint() footprint {
	f := footprint{Usage: usage(s.t, s.broker), goroutines: goroutines(s.t, s.broker)}
	err := filepath.WalkDir(s.broker.Data, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ignoreGone(err)
		}
		info, err := entry.Info()
		if err == nil {
			f.stored += info.Size()
		}
		return ignoreGone(err)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// ignoreGone forgives a file that was deleted during the walk.
func ignoreGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

func (f footprint) String() string {
	return strconv.Itoa(f.goroutines) + " goroutines, " + strconv.Itoa(f.Files) + " files, " +
		strconv.FormatInt(f.Anonymous>>20, 10) + " MiB of memory, " + strconv.FormatInt(f.stored>>20, 10) + " MiB stored"
}

var (
	httpAddress    = regexp.MustCompile(` http=(\S+)`)
	goroutineCount = regexp.MustCompile(`(?m)^go_goroutines (\d+)$`)
)

// goroutines asks the broker's metrics.
func goroutines(t *testing.T, b *brokers.Broker) int {
	t.Helper()
	lines, err := b.Lines("msg=serving")
	if err != nil || len(lines) == 0 {
		t.Fatalf("the broker does not say where its metrics are: %v", err)
	}
	address := httpAddress.FindStringSubmatch(lines[len(lines)-1])
	resp, err := http.Get("http://" + address[1] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := goroutineCount.FindSubmatch(body)
	if found == nil {
		t.Fatalf("no go_goroutines in the metrics:\n%s", body)
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
