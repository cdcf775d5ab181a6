package controller

import (
	"cmp"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// placement lays out partitions: leaders go round over the brokers that are active,
// the racks in turn; the other replicas go to racks that have least of the partition
// yet, and there to the broker that got least so far. The second replica, which leads
// when the first fails, is a broker that was second to that leader least often, so
// that the partitions of a broker that fails find their leaders on all others. Brokers that are fenced or shut down get a replica only
// where there are too few others, and never the first; cordoned ones get none.
type placement struct {
	order  []*metadata.Broker // that may lead, racks taking turns
	spare  []*metadata.Broker // that are not active
	holds  map[int32]int      // replicas so far
	second map[[2]int32]int   // how often a broker came second to a leader
	shared map[string][]int32
}

// placePartitions lays out count partitions after those that the topic has already.
// first says where to begin a new topic, so that topics of few partitions do not all
// meet on the same broker.
func placePartitions(img *metadata.Image, has []metadata.Partition, first, count, replicas int) ([]metadata.Partition, error) {
	p := newPlacement(img)
	if err := p.check(replicas); err != nil {
		return nil, err
	}
	if len(has) > 0 {
		first = p.resume(has)
	}
	partitions := make([]metadata.Partition, count)
	for i := range partitions {
		var err error
		if partitions[i], err = newPartition(img, p.next(first+i, replicas), kerr.InvalidReplicationFactor, len(has)+i); err != nil {
			return nil, err
		}
	}
	return partitions, nil
}

func newPlacement(img *metadata.Image) *placement {
	p := &placement{holds: map[int32]int{}, second: map[[2]int32]int{}, shared: map[string][]int32{}}
	racks := map[string][]*metadata.Broker{}
	for b := range img.Brokers() {
		switch {
		case b.Cordoned:
		case b.Active():
			racks[b.Rack] = append(racks[b.Rack], b)
		default:
			p.spare = append(p.spare, b)
		}
	}
	names := slices.Sorted(maps.Keys(racks))
	for taken := true; taken; {
		taken = false
		for _, name := range names {
			if left := racks[name]; len(left) > 0 {
				p.order, racks[name], taken = append(p.order, left[0]), left[1:], true
			}
		}
	}
	return p
}

func (p *placement) check(replicas int) error {
	switch {
	case len(p.order) == 0:
		return refuse(kerr.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): "+
			"All brokers are currently fenced, or have all their log directories cordoned.", replicas)
	case replicas > len(p.order)+len(p.spare):
		return refuse(kerr.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): "+
			"The target replication factor of %d cannot be reached because only %d broker(s) are registered "+
			"or some brokers have all their log directories cordoned.", replicas, replicas, len(p.order)+len(p.spare))
	}
	return nil
}

// resume counts what a topic's partitions hold, and returns where the next one goes
// on: after the first replica of the last.
func (p *placement) resume(has []metadata.Partition) int {
	for i := range has {
		p.count(has[i].Replicas)
	}
	last := has[len(has)-1].Replicas[0]
	return 1 + slices.IndexFunc(p.order, func(b *metadata.Broker) bool { return b.ID == last })
}

func (p *placement) count(replicas []int32) {
	for _, id := range replicas {
		p.holds[id]++
	}
	if len(replicas) > 1 {
		p.second[[2]int32{replicas[0], replicas[1]}]++
	}
}

// next returns the replicas of the n-th partition. Partitions with the same replicas
// share one list.
func (p *placement) next(n, replicas int) []int32 {
	at := n % len(p.order)
	chosen := []*metadata.Broker{p.order[at]}
	for len(chosen) < replicas {
		from := p.order
		if len(chosen) >= len(p.order) {
			from = p.spare
		}
		chosen = append(chosen, p.follower(from, chosen, at+1))
	}
	list := make([]int32, len(chosen))
	key := make([]byte, 0, 4*len(chosen))
	for i, b := range chosen {
		list[i] = b.ID
		key = append(key, byte(b.ID>>24), byte(b.ID>>16), byte(b.ID>>8), byte(b.ID))
	}
	p.count(list)
	if same, found := p.shared[string(key)]; found {
		return same
	}
	p.shared[string(key)] = list
	return list
}

// follower chooses the next replica of a partition among those that it is not on yet;
// where they are equal, the one that comes first in the order, beginning at first.
func (p *placement) follower(from, chosen []*metadata.Broker, first int) *metadata.Broker {
	var best *metadata.Broker
	for i := range from {
		b := from[(first+i)%len(from)]
		if !slices.Contains(chosen, b) && (best == nil || p.better(b, best, chosen)) {
			best = b
		}
	}
	return best
}

func (p *placement) better(a, b *metadata.Broker, chosen []*metadata.Broker) bool {
	first := 0
	if len(chosen) == 1 {
		leader := chosen[0].ID
		first = cmp.Compare(p.second[[2]int32{leader, a.ID}], p.second[[2]int32{leader, b.ID}])
	}
	return cmp.Or(cmp.Compare(inRack(chosen, a.Rack), inRack(chosen, b.Rack)), first, cmp.Compare(p.holds[a.ID], p.holds[b.ID])) < 0
}

func inRack(brokers []*metadata.Broker, rack string) (n int) {
	for _, b := range brokers {
		if b.Rack == rack {
			n++
		}
	}
	return n
}

// newPartition is a partition whose replicas are all empty: those that are active are
// in sync. code refuses one of which none is.
func newPartition(img *metadata.Image, replicas []int32, code *kerr.Error, index int) (metadata.Partition, error) {
	isr := replicas
	if slices.ContainsFunc(replicas, func(id int32) bool { return !img.Active(id) }) {
		isr = slices.DeleteFunc(slices.Clone(replicas), func(id int32) bool { return !img.Active(id) })
	}
	if len(isr) == 0 {
		return metadata.Partition{}, refuse(code, "All brokers specified in the manual partition assignment for partition %d are fenced or in controlled shutdown.", index)
	}
	return metadata.Partition{Leader: isr[0], Replicas: replicas, ISR: isr}, nil
}

// checkReplicas judges one partition's brokers as a client named them. want is
// how many the topic's other partitions have, 0 for the first.
func checkReplicas(img *metadata.Image, replicas []int32, want int) error {
	const invalid = "The manual partition assignment includes "
	if len(replicas) == 0 {
		return refuse(kerr.InvalidReplicaAssignment, invalid+"an empty replica list.")
	}
	sorted := slices.Sorted(slices.Values(replicas))
	for i, id := range sorted {
		if _, registered := img.Broker(id); !registered {
			return refuse(kerr.InvalidReplicaAssignment, invalid+"broker %d, but no such broker is registered.", id)
		}
		if i > 0 && id == sorted[i-1] {
			return refuse(kerr.InvalidReplicaAssignment, invalid+"the broker %d more than once.", id)
		}
	}
	if want != 0 && len(replicas) != want {
		return refuse(kerr.InvalidReplicaAssignment, invalid+"a partition with %d replica(s), but this is not "+
			"consistent with previous partitions, which have %d replica(s).", len(replicas), want)
	}
	return nil
}
