//go:build cluster

package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klamm-io/klamm/test/brokers"
)

// manyTopics are made and deleted, unless CLUSTER_TOPICS says otherwise.
const manyTopics = 1000

const manyPrefix = "many-" // of their names

// topicsAtOnce are asked for in one request.
const topicsAtOnce = 100

// TestManyTopics makes many topics with three replicas, deletes them, and sees that
// nothing is left of them on any node. The active controller is killed on the way.
func TestManyTopics(t *testing.T) {
	n := number(t, "CLUSTER_TOPICS", manyTopics)
	c := startCluster(t, map[string]string{"log.segment.delete.delay.ms": "100", "log.initial.task.delay.ms": "100"})
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s%05d", manyPrefix, i))
	}
	adm := admin(t, c)
	began := time.Now()
	for chunk := range slices.Chunk(names, topicsAtOnce) {
		answers, err := adm.CreateTopics(t.Context(), 1, nodes, nil, chunk...)
		must(t, err)
		must(t, answers.Error())
	}
	awaitInSync(t, c)
	t.Logf("%d topics were made in %s", n, time.Since(began).Round(time.Millisecond))
	for _, node := range c.Nodes {
		used, err := node.Usage()
		must(t, err)
		t.Logf("%s has %d MiB in memory, %d of them no file's, and %d files open", node.Name, used.Resident>>20, used.Anonymous>>20, used.Files)
	}

	active := controller(t, c)
	must(t, active.Kill())
	controller(t, c)
	began = time.Now()
	for chunk := range slices.Chunk(names, topicsAtOnce) {
		must(t, eventually(t.Context(), func() error {
			answers, err := adm.DeleteTopics(t.Context(), chunk...)
			if err != nil {
				return err
			}
			return ignoreUnknown(answers)
		}))
	}
	t.Logf("and deleted in %s", time.Since(began).Round(time.Millisecond))
	must(t, active.Start(t.Context()))
	awaitInSync(t, c)
	for _, node := range c.Nodes {
		must(t, eventually(t.Context(), func() error { return nothingLeft(node) }))
	}
}

// nothingLeft says what is left of the topics on the node's disk and in what it
// knows.
func nothingLeft(n *brokers.Node) error {
	topics, err := n.Topics()
	if err != nil {
		return err
	}
	folders, err := foldersLike(n, manyPrefix)
	if err != nil {
		return err
	}
	topics = append(topics, folders...)
	left := slices.DeleteFunc(topics, func(name string) bool { return !strings.Contains(name, manyPrefix) })
	if len(left) > 0 {
		return fmt.Errorf("%s still has %s and %d more", n.Name, left[0], len(left)-1)
	}
	return nil
}
