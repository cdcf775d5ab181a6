package replicas

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
)

var tp = protocol.TopicPartition{Topic: "t", Partition: 3}

// batch returns a batch of one record for each value, each of which is its key too.
func batch(t *testing.T, offset int64, values ...string) record.Batch {
	t.Helper()
	b := record.NewBuilder()
	for _, v := range values {
		key, value, _ := strings.Cut(v, "=")
		b.Append(1, []byte(key), []byte(value))
	}
	built, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	built.SetBaseOffset(offset)
	return built
}

func replica(name string, batches ...record.Batch) Replica { return Replica{name, batches} }

func TestSame(t *testing.T) {
	zero, two, three := batch(t, 0, "a", "b"), batch(t, 2, "c"), batch(t, 3, "d")
	for _, tt := range []struct {
		name string
		b    Replica
		want string // a part of the only difference
	}{
		{"the same", replica("B", zero, two, three), ""},
		{"what retention deleted", replica("B", two, three), ""},
		{"another batch", replica("B", zero, batch(t, 2, "x"), three), "A has a batch of offsets 2 to 2"},
		{"a batch less in the middle", replica("B", zero, three), "A has a batch of offsets 2 to 2"},
		{"a batch less at the end", replica("B", zero, two), "B ends at offset 3, it should hold all below 4"},
		{"a batch cut into two", replica("B", batch(t, 0, "a"), batch(t, 1, "b"), two, three), "A has a batch of offsets 0 to 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(Same([]Replica{replica("A", zero, two, three), tt.b}, 4), "\n")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("the difference is %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSameCompacted(t *testing.T) {
	whole := replica("A", batch(t, 0, "k=1", "l=1"), batch(t, 2, "k=2"))
	for _, tt := range []struct {
		name string
		b    Replica
		want string
	}{
		{"the same", whole, ""},
		{"compacted", replica("B", batch(t, 1, "l=1"), batch(t, 2, "k=2")), ""},
		{"the last of a key lost", replica("B", batch(t, 0, "k=1"), batch(t, 2, "k=2")), "A has {1 l 1 false} as the last of its key"},
		{"an older one kept instead", replica("B", batch(t, 0, "k=1", "l=1")), "A has {2 k 2 false} as the last of its key"},
		{"another record at an offset", replica("B", batch(t, 0, "k=7", "l=1"), batch(t, 2, "k=2")), "A has {0 k 1 false}, B has {0 k 7 false}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			differences, err := SameCompacted([]Replica{whole, tt.b})
			got := strings.Join(differences, "\n")
			if err != nil || (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("the difference is %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

// TestSameCompactedForgetsAborted has one replica whose cleaner removed what a
// transaction wrote that was aborted.
func TestSameCompactedForgetsAborted(t *testing.T) {
	transactional := batch(t, 1, "k=2")
	const transactionalBit = 0x10
	transactional[22] |= transactionalBit
	copy(transactional[43:51], []byte{0, 0, 0, 0, 0, 0, 0, 7})
	transactional.Seal()
	marker, err := record.BuildMarker(7, 0, 0, false, 1)
	if err != nil {
		t.Fatal(err)
	}
	marker.SetBaseOffset(2)
	first := batch(t, 0, "k=1")
	differences, err := SameCompacted([]Replica{replica("A", first, transactional, marker), replica("B", first)})
	if err != nil || len(differences) > 0 {
		t.Errorf("the differences are %q (%v), want none", differences, err)
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, tp.String()), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, batches := range map[string][]record.Batch{
		"00000000000000000000.log": {batch(t, 0, "a", "b")},
		"00000000000000000002.log": {batch(t, 2, "c"), batch(t, 3, "d")},
	} {
		var all []byte
		for _, b := range batches {
			all = append(all, b...)
		}
		if err := os.WriteFile(filepath.Join(dir, tp.String(), name), all, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Read("A", dir, tp, 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.batches) != 2 || r.end(0) != 3 {
		t.Errorf("%d batches up to offset %d were read, want 2 up to 3", len(r.batches), r.end(0))
	}
	if _, err := Read("A", dir, protocol.TopicPartition{Topic: "absent"}, 3); err == nil {
		t.Error("a log that is not there can be read")
	}
}
