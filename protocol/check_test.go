package protocol

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/test/wire"
)

// randomBody is a request as a client sends it.
func randomBody(seed uint64, key, version int16) []byte {
	return wire.Random(rand.New(rand.NewPCG(seed, uint64(key))), key, version).AppendTo(nil)
}

// Whatever kmsg encodes, Check takes to its last byte; no shorter piece passes.
// Bytes that follow are for neither Check nor the decoder.
func TestCheckAgreesWithTheEncoder(t *testing.T) {
	for key, s := range schemas {
		t.Run(s.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				version := rapid.Int16Range(s.from, s.to).Draw(t, "version")
				body := randomBody(rapid.Uint64().Draw(t, "seed"), key, version)
				if _, err := Check(key, version, body); err != nil {
					t.Fatalf("version %d: %v\n%x", version, err, body)
				}
				for cut := range body {
					if _, err := Check(key, version, body[:cut]); err == nil {
						t.Fatalf("version %d: passes when cut to %d of %d bytes", version, cut, len(body))
					}
				}
				longer, req := append(body, 0xff, 0xff, 0xff), wire.Request(key)
				req.SetVersion(version)
				_, err := Check(key, version, longer)
				if err := errors.Join(err, req.ReadFrom(longer)); err != nil || !bytes.Equal(req.AppendTo(nil), body) {
					t.Fatalf("version %d: with bytes that follow: %v, decoded as %x", version, err, req.AppendTo(nil))
				}
			})
		})
	}
}

// eachVersion calls fn with every request that is served.
func eachVersion(fn func(key, version int16, s schema)) {
	for key, s := range schemas {
		for version := s.from; version <= s.to; version++ {
			fn(key, version, s)
		}
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	eachVersion(func(key, version int16, s schema) {
		body := randomBody(3, key, version)
		if allocs := testing.AllocsPerRun(10, func() {
			if _, err := Check(key, version, body); err != nil {
				t.Fatal(err)
			}
		}); allocs > 0 {
			t.Errorf("%s version %d: %v allocations", s.name, version, allocs)
		}
	})
}

// An array whose elements took no bytes could count as many as it likes.
func TestEveryElementTakesBytes(t *testing.T) {
	eachVersion(func(_, version int16, s schema) {
		w := walk{version: version, flexible: version >= s.flexible}
		var look func(fields []field)
		look = func(fields []field) {
			for i := range fields {
				f := &fields[i]
				if f.kind == array && version >= f.from && version <= f.to && w.least(f, f.of) == 0 {
					t.Errorf("%s version %d: elements of %s may be empty", s.name, version, f.name)
				}
				look(f.fields)
			}
		}
		look(s.fields)
	})
}

// forged are requests whose counts or lengths claim more than is there.
var forged = []struct {
	name         string
	key, version int16
	body         []byte
	field        string
}{
	{"topics of a Produce", 0, 8, unhex("ffff 0001 00007530 03ffffff"), "TopicData"},
	{"topics of a flexible Produce", 0, 9, unhex("00 0001 00007530 ffffffff07"), "TopicData"},
	{"partitions of a Produce", 0, 8, unhex("ffff 0001 00007530 00000001 000161 7fffffff"), "PartitionData"},
	{"a negative count", 0, 8, unhex("ffff 0001 00007530 80000000"), "TopicData"},
	{"null where it must not be", 0, 8, unhex("ffff 0001 00007530 ffffffff"), "TopicData"},
	{"a length over 31 bits", 0, 9, unhex("00 0001 00007530 8180808008"), "TopicData"},
	{"a count over 32 bits", 16, 3, unhex("ffffffff7f"), "tagged fields"},
	{"a count in six bytes", 16, 3, unhex("808080808000"), "tagged fields"},
	{"a count without an end", 16, 3, unhex("ffffffffffffffffffff"), "tagged fields"},
	{"more tagged fields than bytes", 16, 3, unhex("05 0100 0100"), "tagged fields"},
	{"a tagged field longer than the request", 16, 3, unhex("01 01 7f 00"), "tagged fields"},
	{"a number over 32 bits", 16, 3, unhex("01 ffffffff7f 00"), "tagged fields"},
	{"a tag of a later version", 1, 14, unhex("00000000 00000000 00000000 00000000 00 00000000 00000000 01 01 01 01 01 00"), "ReplicaState"},
	{"a tagged field that ends before its size", 1, 12, unhex("00000000 00000000 00000000 00000000 00 00000000 00000000 01 01 01 01 00 02 01 00"), "ClusterId"},
	{"a string longer than the request", 12, 0, unhex("7fff 61"), "GroupId"},
	{"a cursor neither there nor null", 75, 0, unhex("01 00000064 05 00"), "Cursor"},
}

// unhex reads hexadecimal digits with blanks between.
func unhex(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func TestForgedCountsAreRefused(t *testing.T) {
	for _, c := range forged {
		t.Run(c.name, func(t *testing.T) {
			_, err := Check(c.key, c.version, c.body)
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "field "+c.field+",") {
				t.Errorf("got %v, want one that names %s", err, c.field)
			}
		})
	}
}

// Finding a forged count takes no memory; only the error that tells of it does,
// and no more for a large request than for a small one.
func TestForgedCountsCostNothing(t *testing.T) {
	for _, c := range forged {
		s := schemas[c.key]
		if allocs := testing.AllocsPerRun(10, func() {
			w := walk{left: c.body, version: c.version, flexible: c.version >= s.flexible}
			if w.object(s.fields) {
				t.Fatalf("%s passes", c.name)
			}
		}); allocs > 0 {
			t.Errorf("%s: %v allocations", c.name, allocs)
		}
		if _, taken := allocated(func() { Check(c.key, c.version, c.body) }); taken > 1024 {
			t.Errorf("%s: %d bytes for an error", c.name, taken)
		}
	}
}

// allocated returns how many allocations fn makes, and their bytes.
func allocated(fn func()) (count, size uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs, after.TotalAlloc - before.TotalAlloc
}

// decodingLimit is what decoding a body that passed may take: its strings, and a
// structure for each element.
func decodingLimit(body []byte, elements int) uint64 {
	return 8<<10 + 4*uint64(len(body)) + 512*uint64(elements)
}

func expectCheapDecoding(t *testing.T, key, version int16, body []byte, elements int) {
	t.Helper()
	req := wire.Request(key)
	req.SetVersion(version)
	var err error
	_, taken := allocated(func() { err = req.ReadFrom(body) })
	if err != nil {
		t.Errorf("key %d version %d passes and does not decode: %v\n%x", key, version, err, body)
	}
	if limit := decodingLimit(body, elements); taken > limit {
		t.Errorf("key %d version %d: decoding %d bytes with %d elements takes %d bytes, at most %d are told",
			key, version, len(body), elements, taken, limit)
	}
}

// Tagged fields that nobody knows are kept by the decoder, so they count.
func TestUnknownTagsCount(t *testing.T) {
	const tags = 100_000
	body := binary.AppendUvarint(nil, tags)
	for number := range uint64(tags) {
		body = append(binary.AppendUvarint(body, 100+number), 0)
	}
	elements, err := Check(16, 3, body)
	if err != nil || elements != tags {
		t.Fatalf("got %d elements, %v; want %d", elements, err, tags)
	}
	expectCheapDecoding(t, 16, 3, body, elements)
}

// expectSameAgain encodes what a body was decoded to, and decodes that: it passes
// too, and says the same.
func expectSameAgain(t *testing.T, key, version int16, body []byte) {
	t.Helper()
	again := wire.Request(key)
	again.SetVersion(version)
	if err := again.ReadFrom(body); err != nil {
		t.Fatalf("key %d version %d: %v\n%x", key, version, err, body)
	}
	encoded := again.AppendTo(nil)
	if _, err := Check(key, version, encoded); err != nil {
		t.Fatalf("key %d version %d: what was decoded and encoded does not pass: %v\n%x\n%x", key, version, err, body, encoded)
	}
	last := wire.Request(key)
	last.SetVersion(version)
	if err := last.ReadFrom(encoded); err != nil || !bytes.Equal(last.AppendTo(nil), encoded) {
		t.Fatalf("key %d version %d: %v, or it says something else\n%x\n%x", key, version, err, body, encoded)
	}
}

// A frame is what comes first from a client that nobody knows. Its header and body
// are read as the broker reads them.
func FuzzFrame(f *testing.F) {
	formatter := kmsg.NewRequestFormatter(kmsg.FormatterClientID("fuzz"))
	eachVersion(func(key, version int16, _ schema) {
		f.Add(formatter.AppendRequest(nil, wire.Random(rand.New(rand.NewPCG(2, uint64(key))), key, version), 5)[4:])
	})
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, body, err := ParseHeader(frame)
		if err != nil {
			return
		}
		if len(body) > len(frame)-HeaderSize {
			t.Fatalf("a body of %d bytes in a frame of %d", len(body), len(frame))
		}
		if _, err := Check(h.Key, h.Version, body); err == nil {
			expectSameAgain(t, h.Key, h.Version, body)
		}
	})
}

// What passes, the decoder takes, and takes no more memory than was told; encoded
// again it passes too.
func FuzzCheck(f *testing.F) {
	eachVersion(func(key, version int16, _ schema) { f.Add(key, version, randomBody(1, key, version)) })
	for _, c := range forged {
		f.Add(c.key, c.version, c.body)
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		if elements, err := Check(key, version, body); err == nil {
			expectCheapDecoding(t, key, version, body, elements)
			expectSameAgain(t, key, version, body)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks = 12, -1
	for range 10 {
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic = "flights"
		topic.Partitions = []kmsg.ProduceRequestTopicPartition{{Records: make([]byte, 16<<10)}}
		req.Topics = append(req.Topics, topic)
	}
	body := req.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Check(0, 12, body); err != nil {
			b.Fatal(err)
		}
	}
}
