package listener

import (
	"math/bits"
	"sync"
)

// Buffers are kept for use again in classes of powers of two, from the smallest
// to the largest; larger ones are left to the garbage collector.
const (
	smallestClass = 9  // 512 bytes
	largestClass  = 22 // 4 MiB
)

var buffers [largestClass + 1]sync.Pool

// takeBuffer returns a buffer of length n.
func takeBuffer(n int) []byte {
	class := max(smallestClass, bits.Len(uint(max(n, 1)-1)))
	if class > largestClass {
		return make([]byte, n)
	}
	if b, ok := buffers[class].Get().(*[]byte); ok {
		return (*b)[:n]
	}
	return make([]byte, n, 1<<class)
}

// giveBuffer takes a buffer back. Nobody may use it afterwards.
func giveBuffer(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if class < smallestClass || class > largestClass || cap(b) != 1<<class {
		return
	}
	b = b[:0]
	buffers[class].Put(&b)
}
