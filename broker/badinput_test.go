package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/test/wire"
)

// Whatever clients send, the broker answers with an error or hangs up, takes no
// more memory than the bytes that came are worth, and serves the others.
//
// These tests count goroutines and memory, so they do not run beside others.

// siege is a broker under bad input, and a client that must not notice.
type siege struct {
	*node
	rng        *rand.Rand
	seed       uint64
	goroutines int // before the broker was there
}

// besiege starts a broker, and at the test's end checks that it did not panic,
// still serves, and leaves no goroutine behind.
func besiege(t *testing.T, sets ...string) *siege {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := &siege{rng: rand.New(rand.NewPCG(seed, 0)), seed: seed, goroutines: runtime.NumGoroutine()}
	// Registered before the broker's own end, so it runs after.
	t.Cleanup(func() {
		eventually(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= s.goroutines })
	})
	s.node = start(t, disk.NewMemory(), "/d", sets...)
	s.create(nil, "good")
	t.Cleanup(func() {
		s.mustPut("good", "after")
		if strings.Contains(s.log.String(), "panicked") {
			t.Errorf("the broker panicked:\n%s", s.log)
		}
	})
	return s
}

// served are the APIs, with the versions that a client may ask for.
func (s *siege) served() []kmsg.ApiVersionsResponseApiKey {
	s.t.Helper()
	keys := ask[*kmsg.ApiVersionsResponse](s.node, kmsg.NewPtrApiVersionsRequest()).ApiKeys
	for i := range keys {
		if kmsg.Key(keys[i].ApiKey) == kmsg.Produce {
			keys[i].MinVersion = 3 // those before are told of, and refused
		}
	}
	return keys
}

// eachVersion calls fn for every API and version.
func (s *siege) eachVersion(fn func(key, version int16)) {
	for _, k := range s.served() {
		for v := k.MinVersion; v <= k.MaxVersion; v++ {
			fn(k.ApiKey, v)
		}
	}
}

// frame puts a length and a header before a body.
func frame(key, version int16, body []byte) []byte {
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	header := wire.Frame(bodiless{req}, 7)
	whole := append(header, body...)
	binary.BigEndian.PutUint32(whole, uint32(len(whole)-4))
	return whole
}

// bodiless is a request of which only the header is written.
type bodiless struct{ kmsg.Request }

func (bodiless) AppendTo(dst []byte) []byte { return dst }

// hit sends bytes on a connection of its own and returns what came back: an
// answer, or nil where the broker hung up. It fails where neither comes.
func (s *siege) hit(what string, sent []byte) []byte {
	s.t.Helper()
	c := s.dial()
	defer c.Close()
	// The broker may have hung up before all was sent.
	_ = c.Send(sent)
	answer, err := c.Receive()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.t.Fatalf("seed %d: %s: neither an answer nor an end", s.seed, what)
	}
	return answer
}

// hungUp is hit where an answer is the test's failure.
func (s *siege) hungUp(what string, sent []byte) {
	s.t.Helper()
	if answer := s.hit(what, sent); answer != nil {
		s.t.Errorf("seed %d: %s is answered: %x", s.seed, what, answer)
	}
}

// TestTruncatedRequests: no API takes a body that ends too early, wherever that
// is.
func TestTruncatedRequests(t *testing.T) {
	s := besiege(t)
	s.eachVersion(func(key, version int16) {
		body := wire.Random(s.rng, key, version).AppendTo(nil)
		for cut := range body {
			s.hungUp(fmt.Sprintf("%s v%d cut to %d of %d bytes", kmsg.NameForKey(key), version, cut, len(body)), frame(key, version, body[:cut]))
		}
	})
}

// TestBytesBehindRequests: what follows a sound request in its frame is left
// alone, as Kafka does; librdkafka sends such bytes.
func TestBytesBehindRequests(t *testing.T) {
	s := besiege(t)
	for version := range int16(14) {
		req := kmsg.NewPtrMetadataRequest()
		req.Version = version
		answer := s.hit("Metadata", frame(req.Key(), version, append(req.AppendTo(nil), 1, 0, 0)))
		if answer == nil {
			t.Errorf("Metadata v%d with three bytes behind it: the broker hung up", version)
		} else if _, err := wire.Decode(req, answer); err != nil {
			t.Errorf("Metadata v%d with three bytes behind it: %v", version, err)
		}
	}
}

// TestRandomRequests: requests that are sound and mean nothing are answered at
// their version, or hung up on.
func TestRandomRequests(t *testing.T) {
	s := besiege(t)
	s.eachVersion(func(key, version int16) {
		for range 4 {
			req := wire.Random(s.rng, key, version)
			if produce, ok := req.(*kmsg.ProduceRequest); ok && produce.Acks == 0 {
				produce.Acks = 1 // else nobody answers
			}
			what := fmt.Sprintf("%s v%d %+v", kmsg.NameForKey(key), version, req)
			answer := s.hit(what, wire.Frame(req, 1))
			if answer == nil {
				continue
			}
			if _, err := wire.Decode(req, answer); err != nil {
				t.Errorf("seed %d: %s: %v", s.seed, what, err)
			}
		}
	})
}

// TestRandomBytes: bodies of random bytes, and sound ones with random damage.
func TestRandomBytes(t *testing.T) {
	s := besiege(t)
	s.eachVersion(func(key, version int16) {
		noise := make([]byte, s.rng.IntN(200))
		for i := range noise {
			noise[i] = byte(s.rng.Uint32())
		}
		if kmsg.Key(key) == kmsg.Produce && len(noise) > 3 {
			noise[2], noise[3] = 0, 1 // what may be the acks: without them nobody answers
		}
		s.await(key, version, noise)
		for range 3 {
			body := wire.Random(s.rng, key, version).AppendTo(nil)
			for range 1 + s.rng.IntN(3) {
				if len(body) > 0 {
					body[s.rng.IntN(len(body))] = byte(s.rng.Uint32())
				}
			}
			s.await(key, version, body)
		}
	})
}

// await sends a body, and behind it a request that is answered if the connection
// lives on: so a Produce without acks ends the wait too.
func (s *siege) await(key, version int16, body []byte) {
	s.t.Helper()
	behind := wire.Frame(kmsg.NewPtrApiVersionsRequest(), 8)
	sent := append(frame(key, version, body), behind...)
	if mayWait(key) {
		s.hitAndRun(sent)
		return
	}
	s.hit(fmt.Sprintf("%s v%d %x", kmsg.NameForKey(key), version, body), sent)
}

// mayWait reports whether a request can ask for an answer that comes much later:
// damage may say so too.
func mayWait(key int16) bool {
	switch kmsg.Key(key) {
	case kmsg.Fetch, kmsg.JoinGroup, kmsg.SyncGroup:
		return true
	}
	return false
}

// hitAndRun sends bytes, waits a little for what comes, and is gone.
func (s *siege) hitAndRun(sent []byte) {
	s.t.Helper()
	c := s.dial()
	defer c.Close()
	_ = c.Send(sent)
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, _ = c.Receive()
}

// forgedCounts are lengths and counts as each form of the protocol writes them: the
// largest, a large one that fits the bytes a frame may have, and a negative one.
var forgedCounts = [][]byte{{0x7f, 0xff, 0xff, 0xff}, {0x03, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff, 0x07}, {0x80, 0x80, 0x80, 0x20}, {0x80, 0, 0, 0}}

// TestForgedCounts: wherever a count or a length may stand, one that is far too
// large costs next to nothing.
func TestForgedCounts(t *testing.T) {
	s := besiege(t)
	const perHit = 64 << 10 // bytes; a connection alone takes a few thousand
	hits := 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.eachVersion(func(key, version int16) {
		body := wire.Random(s.rng, key, version).AppendTo(nil)
		for at := range body {
			forged := append([]byte(nil), body...)
			copy(forged[at:], forgedCounts[s.rng.IntN(len(forgedCounts))])
			s.await(key, version, forged)
			hits++
		}
	})
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > uint64(hits)*perHit {
		t.Errorf("seed %d: %d requests took %d bytes", s.seed, hits, taken)
	}
}

// TestUnknownRequests: versions and APIs that are not served.
func TestUnknownRequests(t *testing.T) {
	s := besiege(t)
	known := map[int16]bool{}
	for _, k := range s.served() {
		known[k.ApiKey] = true
		for _, version := range []int16{k.MinVersion - 1, k.MaxVersion + 1, 32767, -1, -32768} {
			if version >= k.MinVersion && version <= k.MaxVersion {
				continue
			}
			sent := frame(k.ApiKey, k.MaxVersion, nil)
			binary.BigEndian.PutUint16(sent[6:], uint16(version))
			answer := s.hit(fmt.Sprintf("%s v%d", kmsg.NameForKey(k.ApiKey), version), sent)
			if isAnswered := answer != nil; isAnswered != (kmsg.Key(k.ApiKey) == kmsg.ApiVersions && version > k.MaxVersion) {
				t.Errorf("%s v%d is answered: %x", kmsg.NameForKey(k.ApiKey), version, answer)
			}
		}
	}
	for key := int16(-2); key < 120; key++ {
		if known[key] {
			continue
		}
		sent := frame(int16(kmsg.Metadata), 1, []byte{0, 0, 0, 0})
		binary.BigEndian.PutUint16(sent[4:], uint16(key))
		s.hungUp(fmt.Sprintf("API %d", key), sent)
	}
}

// TestForgedFrames: lengths that are negative, too small, or far beyond what
// follows, on a new connection and on one that has spoken.
func TestForgedFrames(t *testing.T) {
	s := besiege(t)
	for _, length := range []uint32{0, 1, 9, 1<<32 - 1, 1 << 31, 1<<31 - 1, 100<<20 + 1, 1 << 30} {
		sent := binary.BigEndian.AppendUint32(nil, length)
		s.hungUp(fmt.Sprintf("a frame of %d bytes", int32(length)), append(sent, make([]byte, 100)...))
		hello := wire.Frame(kmsg.NewPtrApiVersionsRequest(), 1)
		c := s.dial()
		if err := c.Send(append(hello, sent...)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Receive(); err != nil {
			t.Errorf("the request before a frame of %d bytes: %v", int32(length), err)
		}
		if _, err := c.Receive(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after a frame of %d bytes: %v", int32(length), err)
		}
	}
	for range 50 {
		noise := make([]byte, 1+s.rng.IntN(300))
		for i := range noise {
			noise[i] = byte(s.rng.Uint32())
		}
		noise[0] |= 0x80 // a length that is negative: else more may have to come
		if len(noise) >= 4 {
			s.hungUp(fmt.Sprintf("%x", noise), noise)
		}
	}
	s.hungUp("HTTP", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	s.hungUp("TLS", append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 512)...))
}

// TestIllMannered: clients that send a byte at a time, that send and read nothing,
// that promise much and send nothing, that are silent, all at once. The budget for
// requests holds, and who behaves is served.
func TestIllMannered(t *testing.T) {
	const budget = 8 << 20
	s := besiege(t, fmt.Sprint("klamm.request.memory.bytes=", budget))
	s.create(nil, "big")
	for range 20 {
		s.mustPut("big", string(make([]byte, 500_000)))
	}
	var all sync.WaitGroup
	stop := make(chan struct{})
	badly := func(n int, behave func(c net.Conn, stop <-chan struct{})) {
		for range n {
			c := s.dial()
			all.Go(func() { behave(c, stop) })
		}
	}
	badly(20, byteAtATime)
	badly(20, readNothing)
	badly(20, promiseMuch)
	badly(200, func(net.Conn, <-chan struct{}) {})
	defer all.Wait()
	defer close(stop)
	var most uint64
	for i := range 100 {
		began := time.Now()
		s.mustPut("good", "meanwhile")
		s.holds("good", int64(i), "meanwhile")
		if took := time.Since(began); took > 5*time.Second {
			t.Fatalf("a client that behaves waits %v", took)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapInuse)
	}
	if most > 256<<20 {
		t.Errorf("the heap grew to %d MiB", most>>20)
	}
}

func byteAtATime(c net.Conn, stop <-chan struct{}) {
	for _, b := range wire.Frame(wire.Random(rand.New(rand.NewPCG(1, 2)), 3, 9), 1) {
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
	}
}

// readNothing asks for as much as it can and takes nothing.
func readNothing(c net.Conn, stop <-chan struct{}) {
	req := fetchRequest(11, "big", 0)
	for i := range int32(1000) {
		select {
		case <-stop:
			return
		default:
		}
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := c.Write(wire.Frame(req, i)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

// promiseMuch speaks, says that a large request follows, and sends little of it.
func promiseMuch(c net.Conn, stop <-chan struct{}) {
	hello := wire.Frame(kmsg.NewPtrApiVersionsRequest(), 1)
	if _, err := c.Write(append(hello, 0x05, 0, 0, 0, 0, 0, 0, 9)); err != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c, 100)
	_, _ = c.Write(make([]byte, 100<<10))
	<-stop
}
