package listener

import "github.com/klamm-io/klamm/storage/disk"

// Part is a piece of an answer: Bytes, or a Region of a file where Region.Len is
// over zero. The listener reads both until it calls Release.
type Part struct {
	Bytes  []byte
	Region disk.Region
	// Release, if not nil, is called exactly once, when the part was sent or will
	// never be.
	Release func()
}

// answer is what goes back for a request: encoded, or head and parts, or nothing.
type answer struct {
	encoded *buffer // the whole frame
	head    [9]byte // size, correlation id, and the tags of a flexible header
	headLen int
	parts   []Part
}

func (p *Part) len() int {
	if p.Region.Len > 0 {
		return p.Region.Len
	}
	return len(p.Bytes)
}

func (p *Part) release() {
	if release := p.Release; release != nil {
		p.Release = nil // first, for it may panic
		release()
	}
}

// advance takes n sent bytes off the region. An empty region leaves no bytes to
// send: a part is either.
func (p *Part) advance(n int) {
	p.Region.Off += int64(n)
	if p.Region.Len -= n; p.Region.Len == 0 {
		p.Bytes = nil
	}
}

// size is the number of bytes of the answer's frame.
func (a *answer) size() int {
	if a.encoded != nil {
		return len(a.encoded.b)
	}
	size := a.headLen
	for i := range a.parts {
		size += a.parts[i].len()
	}
	return size
}

// release gives back what the answer held.
func (a *answer) release() {
	releaseParts(a.parts)
	if a.encoded != nil {
		a.encoded.put()
		a.encoded = nil
	}
	a.parts = nil
}

func releaseParts(parts []Part) {
	for i := range parts {
		parts[i].release()
	}
}
