package node

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// message is what requests and responses have in common.
type message interface {
	Key() int16
	AppendTo([]byte) []byte
	ReadFrom([]byte) error
}

var (
	_ = []kmsg.Request{(*HelloRequest)(nil), (*ConsensusRequest)(nil), (*ReadMetadataRequest)(nil)}
	_ = []kmsg.Response{(*HelloResponse)(nil), (*ReadMetadataResponse)(nil)}
)

// kinds are the messages, each with a generator of its values.
var kinds = []struct {
	name  string
	empty func() message
	some  func(t *rapid.T) message
}{
	{"Hello request", func() message { return new(HelloRequest) }, func(t *rapid.T) message {
		return &HelloRequest{
			ClusterID: rapid.String().Draw(t, "cluster"), NodeID: rapid.Int32().Draw(t, "node"),
			Incarnation: [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "incarnation")),
		}
	}},
	{"Hello response", func() message { return new(HelloResponse) }, func(t *rapid.T) message {
		return &HelloResponse{ErrorCode: rapid.Int16().Draw(t, "code"), ErrorMessage: sentence(t), NodeID: rapid.Int32().Draw(t, "node")}
	}},
	{"Consensus request", func() message { return new(ConsensusRequest) }, func(t *rapid.T) message {
		return &ConsensusRequest{Message: blob(t, "message")}
	}},
	{"ReadMetadata request", func() message { return new(ReadMetadataRequest) }, func(t *rapid.T) message {
		return &ReadMetadataRequest{
			NodeID: rapid.Int32().Draw(t, "node"), Index: rapid.Int64().Draw(t, "index"), Term: rapid.Int64().Draw(t, "term"),
			MaxWaitMillis: rapid.Int32().Draw(t, "wait"), MaxBytes: rapid.Int32().Draw(t, "bytes"),
			DirectoryID: [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "directory")),
		}
	}},
	{"ReadMetadata response", func() message { return new(ReadMetadataResponse) }, func(t *rapid.T) message {
		r := &ReadMetadataResponse{
			ErrorCode: rapid.Int16().Draw(t, "code"), ErrorMessage: sentence(t),
			LeaderID: rapid.Int32().Draw(t, "leader"), LeaderEpoch: rapid.Int32().Draw(t, "epoch"), HighWatermark: rapid.Int64().Draw(t, "hw"),
			Entries: rapid.SliceOf(rapid.Custom(entry)).Draw(t, "entries"),
		}
		if rapid.Bool().Draw(t, "with a snapshot") {
			r.Snapshot = blob(t, "snapshot")
		}
		return r
	}},
}

func entry(t *rapid.T) Entry {
	return Entry{Index: rapid.Int64().Draw(t, "index"), Term: rapid.Int64().Draw(t, "term"), Decision: blob(t, "decision")}
}

func blob(t *rapid.T, name string) []byte { return rapid.SliceOf(rapid.Byte()).Draw(t, name) }

func sentence(t *rapid.T) *string { return rapid.Ptr(rapid.String(), true).Draw(t, "sentence") }

// What is written is read back as it was, also with bytes that follow; no shorter
// piece of it passes.
func TestMessagesAreReadBack(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				want := kind.some(t)
				body := want.AppendTo(nil)
				for cut := range body {
					if err := kind.empty().ReadFrom(body[:cut]); !errors.Is(err, errMalformed) {
						t.Fatalf("cut to %d of %d bytes: %v", cut, len(body), err)
					}
				}
				got := kind.empty()
				if err := got.ReadFrom(append(body, 1, 2, 3)); err != nil || !reflect.DeepEqual(got, want) {
					t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
				}
			})
		})
	}
}

// A node decodes into what it has decoded into before; nothing of that stays.
func TestReadFromLeavesNothingOfBefore(t *testing.T) {
	sentence := "what was"
	r := &ReadMetadataResponse{ErrorMessage: &sentence, Snapshot: []byte("old"), Entries: []Entry{{Index: 1}}}
	if err := r.ReadFrom(new(ReadMetadataResponse).AppendTo(nil)); err != nil || r.ErrorMessage != nil || r.Snapshot != nil || len(r.Entries) > 0 {
		t.Errorf("%v, left: %+v", err, r)
	}
}

// An empty snapshot is one, and none is none.
func TestAnEmptySnapshotIsNotNone(t *testing.T) {
	for _, want := range [][]byte{nil, {}} {
		var got ReadMetadataResponse
		if err := got.ReadFrom((&ReadMetadataResponse{Snapshot: want}).AppendTo(nil)); err != nil || (got.Snapshot == nil) != (want == nil) {
			t.Errorf("%#v is read back as %#v, %v", want, got.Snapshot, err)
		}
	}
}

// A sentence that is longer than its length can say is cut, and what follows it is
// still where it should be.
func TestALongSentenceIsCut(t *testing.T) {
	long := strings.Repeat("x", math.MaxInt16+1)
	var got HelloResponse
	if err := got.ReadFrom((&HelloResponse{ErrorMessage: &long, NodeID: 7}).AppendTo(nil)); err != nil || len(*got.ErrorMessage) != math.MaxInt16 || got.NodeID != 7 {
		t.Errorf("%v: %d bytes of node %d", err, len(*got.ErrorMessage), got.NodeID)
	}
}

// Responses with lengths that lead nowhere are refused before memory is taken.
func TestForgedLengthsAreRefused(t *testing.T) {
	sound := (&ReadMetadataResponse{}).AppendTo(nil)
	count := len(sound) - 4 // of the entries, which come last
	snapshot := count - 4
	for name, forge := range map[string]func([]byte){
		"two thousand million entries": func(b []byte) { copy(b[count:], []byte{0x7f, 0xff, 0xff, 0xff}) },
		"fewer than no entries":        func(b []byte) { copy(b[count:], []byte{0xff, 0xff, 0xff, 0xff}) },
		"a snapshot of 2 GiB":          func(b []byte) { copy(b[snapshot:], []byte{0x7f, 0xff, 0xff, 0xff}) },
		"a snapshot of -2 bytes":       func(b []byte) { copy(b[snapshot:], []byte{0xff, 0xff, 0xff, 0xfe}) },
		"a sentence of -2 bytes":       func(b []byte) { copy(b[2:], []byte{0xff, 0xfe}) },
	} {
		b := bytes.Clone(sound)
		forge(b)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := new(ReadMetadataResponse).ReadFrom(b)
		runtime.ReadMemStats(&after)
		if taken := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, errMalformed) || taken > 64<<10 {
			t.Errorf("%s: %v, %d bytes taken", name, err, taken)
		}
	}
}

// The incarnation is the nodes' secret, and a log shows requests.
func TestHelloKeepsItsSecret(t *testing.T) {
	r := &HelloRequest{ClusterID: "c", NodeID: 3, Incarnation: [16]byte{123}}
	if got := r.String(); got != "Hello of node 3 in cluster c" {
		t.Error(got)
	}
}

// Whatever comes in is refused or read, and what was read is written as it came.
func FuzzReadFrom(f *testing.F) {
	for i, kind := range kinds {
		f.Add(i, kind.empty().AppendTo(nil))
	}
	f.Add(4, (&ReadMetadataResponse{Snapshot: []byte("s"), Entries: []Entry{{1, 2, []byte("d")}, {3, 4, nil}}}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, which int, body []byte) {
		if which < 0 || which >= len(kinds) {
			return
		}
		m := kinds[which].empty()
		if err := m.ReadFrom(body); err != nil {
			return
		}
		if again := m.AppendTo(nil); !bytes.HasPrefix(body, again) {
			t.Fatalf("%s: %x is read as %+v and written as %x", kinds[which].name, body, m, again)
		}
	})
}
