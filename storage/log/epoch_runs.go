package log

import "github.com/klamm-io/klamm/protocol/record"

// epochRuns are the leader epochs of batches in their order.
type epochRuns []epochRun

// epochRun is batches of one leader epoch that follow each other.
type epochRun struct {
	epochStart
	batches int
	segment *segment
	first   stretch // the first of them, in its file
}

// add takes in the batch at a position of a segment, of which the header is enough.
func (r *epochRuns) add(s *segment, header record.Batch, at int64) {
	epoch := header.PartitionLeaderEpoch()
	if n := len(*r); n == 0 || (*r)[n-1].epoch != epoch {
		*r = append(*r, epochRun{
			epochStart: epochStart{epoch: epoch, start: header.BaseOffset()},
			segment:    s, first: stretch{from: at, to: at + int64(header.Size())},
		})
	}
	(*r)[len(*r)-1].batches++
}

// odd reports whether run i is one batch whose epoch cannot be what it was: no checksum
// covers it, and epochs do not go back, as they do before the batch or behind it,
// though not without it.
func (r epochRuns) odd(i int) bool {
	if r[i].batches > 1 || i+1 == len(r) {
		return false
	}
	before := int32(-1)
	if i > 0 {
		before = r[i-1].epoch
	}
	epoch, after := r[i].epoch, r[i+1].epoch
	return before <= after && (epoch < before || epoch > after)
}
