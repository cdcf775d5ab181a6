package metadata

import "fmt"

// Voter is a node that votes on the metadata (KIP-853), or is to. A node whose disk
// is another is another voter.
type Voter struct {
	ID          int32
	DirectoryID [16]byte // of the folder that holds its metadata; zero: of that which it had first
	Endpoints   []Endpoint
}

func (r *VoterAdded) apply(c *change) error {
	v := &r.Voter
	if was, found := c.voters.get(v.ID); found && was.DirectoryID != v.DirectoryID {
		return fmt.Errorf("node %d votes with another directory", v.ID)
	}
	c.voters = c.voters.put(v.ID, v)
	c.joining = c.joining.delete(v.ID)
	return nil
}

func (r *VoterJoining) apply(c *change) error {
	v := &r.Voter
	if was, found := c.joining.get(v.ID); found && was.DirectoryID != v.DirectoryID {
		return fmt.Errorf("node %d is joining with another directory", v.ID)
	}
	if _, found := c.voters.get(v.ID); found {
		return fmt.Errorf("node %d votes", v.ID)
	}
	c.joining = c.joining.put(v.ID, v)
	return nil
}

func (r *VoterRemoved) apply(c *change) error {
	for _, of := range []*tree[int32, *Voter]{&c.voters, &c.joining} {
		if was, found := of.get(r.ID); found && was.DirectoryID == r.DirectoryID {
			*of = of.delete(r.ID)
			return nil
		}
	}
	return fmt.Errorf("node %d does not vote with that directory", r.ID)
}
