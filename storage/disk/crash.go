package disk

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sector is what a disk writes as a whole; a write of more may be torn.
const sector = 512

// Crash cuts the power: it returns what a disk holds afterwards, with no lock
// held. The file system that it was cut from goes on for itself.
//
// What was synced is there. Of the rest chance decides, in ways that real file
// systems and disks have shown:
//
//   - Of each folder's changes of names the first few are kept, in their order; a
//     rename happens as a whole or not at all. A folder whose own name is lost is
//     lost with all in it, however often it was synced.
//   - Of each file's writes and truncations none are kept, or all, or those up
//     to one that is torn, or in each sector the first few, and any of the
//     truncations. Where a later write is kept and an earlier one to other sectors
//     is not, zeros stand between.
func (m *Memory) Crash(rng *rand.Rand) *Memory {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := crash{rng: rng, kept: map[*node]map[string]*node{}, copies: map[*node]*node{}}
	c.keepNames(m.pending)
	return &Memory{root: c.copy(m.root)}
}

// Kill ends who uses the file system: it returns what the kernel goes on with, no
// lock held and nothing lost, but nothing more durable than it was. Who was killed
// goes on for himself with the old one.
func (m *Memory) Kill() *Memory {
	m.mu.RLock()
	defer m.mu.RUnlock()
	copies := map[*node]*node{}
	after := &Memory{root: m.root.clone(copies)}
	for _, change := range m.pending {
		edits := make(nameChange, len(change))
		for i, e := range change {
			edits[i] = nameEdit{folder: e.folder.clone(copies), name: e.name, to: e.to.clone(copies)}
		}
		after.pending = append(after.pending, edits)
	}
	return after
}

// clone copies a node with all below it, each only once.
func (n *node) clone(copies map[*node]*node) *node {
	if n == nil || copies[n] != nil {
		return copies[n]
	}
	c := &node{modified: n.modified, data: slices.Clone(n.data), synced: slices.Clone(n.synced), changes: slices.Clone(n.changes)}
	copies[n] = c
	if !n.isFolder() {
		return c
	}
	c.names, c.durable = map[string]*node{}, map[string]*node{}
	for name, child := range n.names {
		c.names[name] = child.clone(copies)
	}
	for name, child := range n.durable {
		c.durable[name] = child.clone(copies)
	}
	return c
}

// crash is one power cut.
type crash struct {
	rng    *rand.Rand
	kept   map[*node]map[string]*node // the names that a folder keeps, where they are not the durable ones
	copies map[*node]*node
}

// names returns the names that a folder keeps, to be changed.
func (c *crash) names(n *node) map[string]*node {
	if c.kept[n] == nil {
		c.kept[n] = maps.Clone(n.durable)
	}
	return c.kept[n]
}

// keepNames chooses the changes of names that reached the disk. What follows one
// that did not, in the same folder, did not either.
func (c *crash) keepNames(pending []nameChange) {
	lost := map[*node]bool{}
	keep := []float64{0, 0.5, 0.9, 1}[c.rng.IntN(4)]
	for _, change := range pending {
		if !change.touches(lost) && c.rng.Float64() < keep {
			change.apply(c.names)
			continue
		}
		for _, e := range change {
			lost[e.folder] = true
		}
	}
}

// copy returns what is left of a node. Folders are gone through by name, so that
// one seed means one outcome.
func (c *crash) copy(n *node) *node {
	if done := c.copies[n]; done != nil {
		return done
	}
	if !n.isFolder() {
		data := c.data(n)
		c.copies[n] = &node{modified: n.modified, data: data, synced: slices.Clone(data)}
		return c.copies[n]
	}
	folder := newFolder()
	c.copies[n] = folder
	names := c.names(n)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		folder.names[name] = c.copy(names[name])
	}
	folder.durable = maps.Clone(folder.names)
	folder.modified = n.modified
	return folder
}

// data chooses what is left of a file's bytes.
func (c *crash) data(n *node) []byte {
	data := slices.Clone(n.synced)
	switch c.rng.IntN(4) {
	case 0:
		return data
	case 1:
		return slices.Clone(n.data)
	case 2:
		return c.keepFirst(data, n.changes)
	default:
		return c.keepAny(data, n.changes)
	}
}

// keepFirst keeps the changes up to one, and that one up to a sector's end.
func (c *crash) keepFirst(data []byte, changes []dataChange) []byte {
	if len(changes) == 0 {
		return data
	}
	torn := c.rng.IntN(len(changes))
	for _, change := range changes[:torn] {
		data = change.apply(data)
	}
	if parts := changes[torn].sectors(); len(parts) > 1 {
		for _, part := range parts[:c.rng.IntN(len(parts))] {
			data = part.apply(data)
		}
	}
	return data
}

// keepAny keeps some truncations, and in each sector its first few writes: what
// writes a sector back writes all that it holds by then.
func (c *crash) keepAny(data []byte, changes []dataChange) []byte {
	written := map[int64]bool{} // sectors that were written back for the last time
	for _, change := range changes {
		for _, part := range change.sectors() {
			at := part.off / sector
			if c.rng.IntN(2) == 0 && (part.truncate || !written[at]) {
				data = part.apply(data)
			} else if !part.truncate {
				written[at] = true
			}
		}
	}
	return data
}

// sectors cuts a write where the sectors of the disk end.
func (c dataChange) sectors() []dataChange {
	if c.truncate {
		return []dataChange{c}
	}
	var parts []dataChange
	for off, rest := c.off, c.bytes; len(rest) > 0; {
		n := min(int64(len(rest)), sector-off%sector)
		parts = append(parts, dataChange{off: off, bytes: rest[:n]})
		off, rest = off+n, rest[n:]
	}
	return parts
}
