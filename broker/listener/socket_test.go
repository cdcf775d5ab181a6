package listener

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/storage/disk"
)

// fileOf writes content to a real file.
func fileOf(t testing.TB, content []byte) disk.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "00000000000000000000.log")
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := disk.OS.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

// withoutDescriptor is a file that can only be read.
type withoutDescriptor struct{ disk.File }

func (withoutDescriptor) Fd() (uintptr, bool) { return 0, false }

func randomBytes(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// TestRegionsEqualTheFile has answers of bytes and regions of all sizes sent to
// clients that read at once or late, from many connections to one file.
func TestRegionsEqualTheFile(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	content := randomBytes(rand.New(rand.NewPCG(seed, 0)), 3<<20)
	file := fileOf(t, content)
	for name, f := range map[string]disk.File{"sendfile": file, "read": withoutDescriptor{file}} {
		t.Run(name, func(t *testing.T) {
			var released, parts atomic.Int32
			s := onLoopback(t, Config{}, func(r *Request) {
				random := rand.New(rand.NewPCG(seed, uint64(r.CorrelationID)))
				answer, _ := randomParts(random, f, content, &released)
				parts.Add(int32(len(answer)))
				r.Reply(answer...)
			}).run(t)
			var clients sync.WaitGroup
			for i := range int32(8) {
				clients.Go(func() {
					conn := s.dial()
					for j := range int32(5) {
						id := 100*i + j
						send(t, conn, frameOf(fetch, id, nil))
						runtime.Gosched()
						_, want := randomParts(rand.New(rand.NewPCG(seed, uint64(id))), f, content, &released)
						if gotID, got, err := read(conn); err != nil || gotID != id || !bytes.Equal(got, want) {
							t.Errorf("answer %d of %d bytes, %v; want %d of %d", gotID, len(got), err, id, len(want))
						}
					}
				})
			}
			clients.Wait()
			s.stop()
			if released.Load() != parts.Load() {
				t.Errorf("%d parts of %d were released", released.Load(), parts.Load())
			}
		})
	}
}

// randomParts returns an answer, and its bytes.
func randomParts(random *rand.Rand, file disk.File, content []byte, released *atomic.Int32) (parts []Part, whole []byte) {
	for range 1 + random.IntN(100) {
		p := Part{Release: func() { released.Add(1) }}
		size := random.IntN(1 << (1 + random.IntN(18)))
		off := random.IntN(len(content) - size)
		if random.IntN(3) == 0 {
			p.Bytes = content[off : off+size]
		} else {
			p.Region = disk.Region{File: file, Off: int64(off), Len: size}
		}
		parts = append(parts, p)
		whole = append(whole, content[off:off+size]...)
	}
	return parts, whole
}

// wrongDescriptor is a file whose descriptor sendfile refuses, as some file
// systems' are.
type wrongDescriptor struct {
	disk.File
	folder *os.File
}

func (f wrongDescriptor) Fd() (uintptr, bool) { return f.folder.Fd(), true }

func TestFileIsReadWhereSendfileDoesNotWork(t *testing.T) {
	content := randomBytes(rand.New(rand.NewPCG(1, 2)), 300_000)
	folder, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	file := wrongDescriptor{fileOf(t, content), folder}
	s := onLoopback(t, Config{}, func(r *Request) {
		r.Reply(Part{Bytes: []byte("<")}, Part{Region: disk.Region{File: file, Len: len(content)}}, Part{Bytes: []byte(">")})
	}).run(t)
	conn := s.dial()
	for i := range int32(2) {
		send(t, conn, frameOf(fetch, i, nil))
		expect(t, conn, i, "<"+string(content)+">")
	}
}

func TestShortFileEndsTheConnection(t *testing.T) {
	file := fileOf(t, make([]byte, 100_000))
	for _, c := range []struct {
		name string
		file disk.File
		size int
	}{
		{"sendfile", file, 90_000},
		{"small", file, 10_000},
		{"read", withoutDescriptor{file}, 90_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			released := make(chan bool, 1)
			s := onLoopback(t, Config{}, func(r *Request) {
				r.Reply(Part{
					Region:  disk.Region{File: c.file, Off: int64(100_000 - c.size + 1), Len: c.size},
					Release: func() { released <- true },
				})
			}).run(t)
			conn := s.dial()
			send(t, conn, frameOf(fetch, 1, nil))
			conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			if got, err := io.ReadAll(conn); len(got) > 8+c.size-1 || os.IsTimeout(err) {
				t.Errorf("%d bytes came, %v; the file has %d for them", len(got), err, c.size-1)
			}
			s.counts.ended(t, "file", 1)
			<-released
		})
	}
}

// TestReplyNeverWaitsForASlowClient replies on this goroutine with more than any
// socket takes, to a client that reads nothing.
func TestReplyNeverWaitsForASlowClient(t *testing.T) {
	h := newHeld()
	s := onLoopback(t, Config{SlowTimeout: 60 * time.Millisecond}, h.handle).run(t)
	slow, other := s.dial(), s.dial()
	send(t, slow, frameOf(produce, 1, nil))
	r := <-h.begun
	var released atomic.Int32
	began := time.Now()
	parts := make([]Part, 3)
	for i := range parts {
		parts[i] = Part{Bytes: make([]byte, 8<<20), Release: func() { released.Add(1) }}
	}
	r.Reply(parts...)
	if took := time.Since(began); took > time.Second {
		t.Errorf("Reply took %s", took)
	}
	send(t, other, frameOf(produce, 2, nil))
	(<-h.begun).Reply()
	expect(t, other, 2, "")
	s.counts.ended(t, "slow", 1) // 24 MiB: after 25 times SlowTimeout
	eventually(t, func() string {
		if n := released.Load(); n != 3 {
			return fmt.Sprintf("%d parts were released, want 3", n)
		}
		return ""
	})
}

// TestWritesAfterASlowOne shows that the deadline of an answer that had to wait
// does not fail a later one.
func TestWritesAfterASlowOne(t *testing.T) {
	const size = 16 << 20
	h := newHeld()
	s := onLoopback(t, Config{SlowTimeout: 20 * time.Millisecond}, h.handle).run(t)
	conn := s.dial()
	send(t, conn, frameOf(produce, 1, nil), frameOf(produce, 2, nil))
	first, second := <-h.begun, <-h.begun
	first.Reply(Part{Bytes: make([]byte, size)})
	if _, body := receive(t, conn); len(body) != size {
		t.Fatalf("%d bytes came", len(body))
	}
	time.Sleep(20 * (1 + size>>20) * time.Millisecond) // until the deadline has certainly passed
	second.Reply(Part{Bytes: []byte("still here")})
	expect(t, conn, 2, "still here")
}

// TestRepliesFromManyGoroutines has what became ready together leave in order.
func TestRepliesFromManyGoroutines(t *testing.T) {
	const requests = 3000
	s := onLoopback(t, Config{MaxInFlight: 50}, func(r *Request) {
		go r.Reply(Part{Bytes: bytes.Repeat([]byte{byte(r.CorrelationID)}, int(r.CorrelationID)%5000)})
	}).run(t)
	conn := s.dial()
	go func() {
		for i := range int32(requests) {
			conn.Write(frameOf(produce, i, nil))
		}
	}()
	for i := range int32(requests) {
		expect(t, conn, i, string(bytes.Repeat([]byte{byte(i)}, int(i)%5000)))
	}
}

func TestHeadOfAnAnswer(t *testing.T) {
	s := onLoopback(t, Config{}, func(r *Request) {
		r.Version = int16(r.CorrelationID)
		switch r.Key {
		case versions:
			r.ReplyMsg(kmsg.NewPtrApiVersionsResponse())
		case metadata:
			r.ReplyMsg(kmsg.NewPtrMetadataResponse())
		default:
			r.Reply(Part{Bytes: []byte("body")})
		}
	}).run(t)
	conn := s.dial()
	for _, c := range []struct {
		key, version int16
		flexible     bool
		response     kmsg.Response
	}{
		{versions, 0, false, kmsg.NewPtrApiVersionsResponse()},
		{versions, 3, false, kmsg.NewPtrApiVersionsResponse()},
		{metadata, 8, false, kmsg.NewPtrMetadataResponse()},
		{metadata, 9, true, kmsg.NewPtrMetadataResponse()},
		{fetch, 11, false, nil},
		{fetch, 12, true, nil},
	} {
		send(t, conn, frameOf(c.key, int32(c.version), nil))
		id, got := receive(t, conn)
		want := []byte("body")
		if c.response != nil {
			c.response.SetVersion(c.version)
			want = c.response.AppendTo(nil)
		}
		if c.flexible {
			want = append([]byte{0}, want...)
		}
		if id != int32(c.version) || !bytes.Equal(got, want) {
			t.Errorf("API %d version %d: % x, want % x", c.key, c.version, got, want)
		}
	}
}

// TestIdleConnectionsAreSmall holds 2,000 connections that have been used once.
func TestIdleConnectionsAreSmall(t *testing.T) {
	const connections = 2000
	s := onLoopback(t, Config{}, echo).run(t)
	before := memoryInUse()
	conns := make([]net.Conn, connections)
	for i := range conns {
		conns[i] = s.dial()
		send(t, conns[i], frameOf(metadata, 1, []byte("hello")))
		expect(t, conns[i], 1, "hello")
	}
	each := (memoryInUse() - before) / connections
	t.Logf("%d bytes for each connection, both ends and the goroutine's stack", each)
	if each > 12<<10 {
		t.Errorf("an idle connection holds %d bytes", each)
	}
	if s.budget.Used() != 0 {
		t.Errorf("idle connections hold %d bytes of the budget", s.budget.Used())
	}
	runtime.KeepAlive(conns)
}

func memoryInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, size := range []int{100, 4000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			answer := make([]byte, 40)
			s := onLoopback(b, Config{}, func(r *Request) { r.Reply(Part{Bytes: answer}) }).run(b)
			conn := s.dial()
			request, reply := frameOf(metadata, 1, make([]byte, size)), make([]byte, 48)
			b.ReportAllocs()
			for b.Loop() {
				conn.Write(request)
				io.ReadFull(conn, reply)
			}
		})
	}
}

// BenchmarkPipelined keeps 5 requests in flight, whose answers come from another
// goroutine together, as those of produces do that waited for one flush.
func BenchmarkPipelined(b *testing.B) {
	h := newHeld()
	s := onLoopback(b, Config{}, h.handle).run(b)
	conn := s.dial()
	five := bytes.Repeat(frameOf(produce, 1, make([]byte, 200)), 5)
	reply := make([]byte, 5*48)
	answer := make([]byte, 40)
	var waiting [5]*Request
	b.ReportAllocs()
	for b.Loop() {
		conn.Write(five)
		for i := range waiting {
			waiting[i] = <-h.begun
		}
		for i := range waiting { // the head last, so that all leave at once
			waiting[4-i].Reply(Part{Bytes: answer})
		}
		io.ReadFull(conn, reply)
	}
}

func BenchmarkRegion(b *testing.B) {
	const size = 1 << 20
	file := fileOf(b, make([]byte, size))
	for name, f := range map[string]disk.File{"sendfile": file, "copy": withoutDescriptor{file}} {
		b.Run(name, func(b *testing.B) {
			s := onLoopback(b, Config{}, func(r *Request) {
				r.Reply(Part{Region: disk.Region{File: f, Len: size}})
			}).run(b)
			conn := s.dial()
			request, reply := frameOf(fetch, 1, nil), make([]byte, 8+size)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				conn.Write(request)
				if _, err := io.ReadFull(conn, reply); err != nil || binary.BigEndian.Uint32(reply) != 4+size {
					b.Fatal(err)
				}
			}
		})
	}
}
