package history

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// Encode returns the record's value: its name, and filling whose length and
// bytes follow from the name, so that a reader can tell each byte of it.
func Encode(r Record) []byte {
	rng := rand.New(rand.NewPCG(uint64(r.Producer), uint64(r.Seq)))
	value := fmt.Appendf(nil, "%d %d ", r.Producer, r.Seq)
	length := rng.IntN(200)
	if rng.IntN(20) == 0 {
		length = rng.IntN(8 << 10)
	}
	for range length / 8 {
		value = fmt.Appendf(value, "%08x", rng.Uint32())
	}
	return value
}

// Decode returns the record that a value is of.
func Decode(value []byte) (r Record, err error) {
	if _, err := fmt.Sscanf(string(value[:min(len(value), 40)]), "%d %d ", &r.Producer, &r.Seq); err != nil {
		return r, fmt.Errorf("a value that nobody sent: %q", value[:min(len(value), 40)])
	}
	if !bytes.Equal(value, Encode(r)) {
		return r, fmt.Errorf("the value of %s is not what was sent", r)
	}
	return r, nil
}
