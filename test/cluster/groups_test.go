//go:build cluster

package cluster

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/klamm-io/klamm/test/brokers"
)

// TestGroupsGoOn has the coordinator of a group killed, stopped in order and hang, and
// brings it back: members of both protocols go on at the next coordinator, and no
// commit that was confirmed is lost. From one that hangs franz-go's members do not part
// before it tells them, awake again, that another took over.
func TestGroupsGoOn(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(t), 3))
	c := startCluster(t, map[string]string{"offsets.topic.num.partitions": strconv.Itoa(groupPartitions)})
	tr := startTraffic(t, c, createTopic(t, c, "busy", 3, nil))
	var turns []turn
	for _, group := range tr.groups {
		turns = append(turns, turn{group, "is killed", (*brokers.Node).Kill}, turn{group, "is stopped in order", (*brokers.Node).Stop},
			turn{group, "hangs", (*brokers.Node).Pause})
	}
	rng.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	for _, turn := range turns {
		turn.take(t, tr)
		if t.Failed() {
			break
		}
	}
	tr.stop()
	compareReplicas(t, c)
}

const groupPartitions = 4

// turn is something that happens to the coordinator of a group.
type turn struct {
	group string
	what  string
	do    func(*brokers.Node) error
}

func (tn turn) take(t *testing.T, tr *traffic) {
	t.Helper()
	tr.awaitCommits(tn.group)
	n := groupCoordinator(t, tr.cluster, tn.group)
	led := ledBy(t, tr.cluster, n, partitionsOf("__consumer_offsets", groupPartitions))
	began := time.Now()
	must(t, tn.do(n))
	_, err := tr.cluster.AwaitLeader(t.Context(), led, n)
	must(t, err)
	if n.PID() != 0 { // it hangs
		wakeAll(t, tr.cluster)
	}
	tr.awaitCommits(tn.group)
	t.Logf("the coordinator of %s, %s, %s: they go on after %s", tn.group, n.Name, tn.what, time.Since(began).Round(time.Millisecond))
	wakeAll(t, tr.cluster)
	tr.look()
	tr.awaitCommits(tn.group)
}
