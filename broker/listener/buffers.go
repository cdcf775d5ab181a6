package listener

import (
	"math/bits"
	"sync"
)

// buffer is pooled memory: a request's body, an answer that was encoded, or a
// stretch of a file on its way to a socket.
type buffer struct {
	b      []byte // len is what is in use
	leased int64  // bytes taken from the budget
	beyond bool   // some of them beyond its limit
}

const smallestClass = 9 // 512 bytes

// pools hold buffers by the power of two that their capacity reaches.
var pools [32]sync.Pool

// getBuffer returns a buffer of length n and unknown content.
func getBuffer(n int) *buffer {
	class := max(bits.Len(uint(max(n, 1)-1)), smallestClass)
	buf, ok := pools[class].Get().(*buffer)
	if !ok {
		buf = &buffer{b: make([]byte, 1<<class)}
	}
	buf.b = buf.b[:n]
	return buf
}

// put gives the buffer back to its pool; nobody may use it any more.
func (buf *buffer) put() {
	if class := bits.Len(uint(cap(buf.b))) - 1; class >= smallestClass {
		pools[class].Put(buf)
	}
}

// sizeInPool is the capacity that getBuffer(n) answers with.
func sizeInPool(n int) int64 { return 1 << max(bits.Len(uint(max(n, 1)-1)), smallestClass) }

// settle gives the leased bytes back to the budget.
func (buf *buffer) settle(b *Budget) {
	if buf.leased > 0 {
		b.give(buf.leased, buf.beyond)
		buf.leased, buf.beyond = 0, false
	}
}

// Memory is pooled memory for bytes of an answer. The zero value is none.
type Memory struct{ buf *buffer }

// TakeMemory returns memory of n bytes and unknown content.
func TakeMemory(n int) Memory { return Memory{getBuffer(n)} }

// Bytes are valid until Release.
func (m Memory) Bytes() []byte {
	if m.buf == nil {
		return nil
	}
	return m.buf.b
}

// Release gives the memory back. It is to be called exactly once, as a [Part]'s
// Release for one.
func (m Memory) Release() {
	if m.buf != nil {
		m.buf.put()
	}
}
