package log

import (
	"slices"
	"sync"
)

// damage is what is known to be wrong in a segment's file: stretches whose
// bytes fail their checksum. Readers are refused them. The zero value knows of
// none. It is safe for concurrent use.
type damage struct {
	mu sync.Mutex
	// Guarded by mu.
	stretches []stretch // ascending by from
	short     bool      // the file lost its end, where a batch does
	cuts      int       // how often the file was cut
}

// stretch is the bytes of a file at positions from up to but not including to.
type stretch struct{ from, to int64 }

// asOf counts how often the file was cut so far. Who is going to read it asks before,
// and says so to add.
func (d *damage) asOf() (cuts int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cuts
}

// add notes a stretch and reports whether it is new. Where the file was cut since it
// was looked at, nobody knows what was read, and nothing is noted.
func (d *damage) add(s stretch, cuts int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if cuts != d.cuts {
		return false
	}
	at := 0
	for ; at < len(d.stretches) && d.stretches[at].from <= s.from; at++ {
		if d.stretches[at] == s {
			return false
		}
	}
	d.stretches = append(d.stretches, stretch{})
	copy(d.stretches[at+1:], d.stretches[at:])
	d.stretches[at] = s
	return true
}

// any reports whether any damage is known.
func (d *damage) any() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.stretches) > 0 || d.short
}

// shorten notes that the file ends too early, and reports whether that is new.
func (d *damage) shorten(cuts int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if cuts != d.cuts || d.short {
		return false
	}
	d.short = true
	return true
}

// endsEarly reports whether the file is known to lack its end.
func (d *damage) endsEarly() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.short
}

// soundUntil returns the position up to which what lies between from and to is
// not known to be damaged.
func (d *damage) soundUntil(from, to int64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.stretches {
		if s.to > from && s.from < to {
			return max(from, s.from)
		}
	}
	return to
}

// after returns the end of the first damaged stretch that ends beyond position.
func (d *damage) after(position int64) (end int64, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.stretches {
		if s.to > position {
			return s.to, true
		}
	}
	return 0, false
}

// cutFrom forgets what is known of positions from position on, which will hold
// other bytes. It is to be called before the file is cut.
func (d *damage) cutFrom(position int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cuts++
	d.short = false // it ends there now
	for i, s := range d.stretches {
		if s.to > position {
			d.stretches[i].to = max(s.from, position)
		}
	}
	d.stretches = slices.DeleteFunc(d.stretches, func(s stretch) bool { return s.from >= position })
}
