package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// tell runs a command line against node 1 of a fake cluster and compares all that it
// prints, errors last.
func tell(t *testing.T, c *fakeCluster, line string, code int, want string) {
	t.Helper()
	got := try(t, "", append(strings.Fields(line), "-b", c.address(1))...)
	if text := got.out + got.errOut; got.code != code || text != want {
		t.Errorf("klamm %s: exit %d\n%s\nwant exit %d\n%s", line, got.code, text, code, want)
	}
}

func TestMovesOfPartitions(t *testing.T) {
	c := newFakeCluster(t, 4)
	c.topic("a", 5e6, []int32{1, 2}, []int32{2, 3})
	tell(t, c, "partition list-moves", exitOK, "TOPIC  PARTITION  TARGET  ADDING  REMOVING  TO-COPY  WAITS-FOR\n")
	tell(t, c, "partition move -t a -p 0 --to 3,2", exitOK, "a-0 is on its way from 1,2 to 3,2\n"+
		"See how far it is with `klamm partition list-moves`, or take it back with `klamm partition cancel --topic a --partition 0`.\n")
	tell(t, c, "partition move -t a -p 1 --to 4", exitOK, "a-1 is on its way from 2,3 to 4\n"+
		"See how far it is with `klamm partition list-moves`, or take it back with `klamm partition cancel --topic a --partition 1`.\n")
	c.kill(4)
	c.fence(4)
	c.pace = 1e6
	tell(t, c, "partition list-moves", exitOK, `TOPIC  PARTITION  TARGET  ADDING  REMOVING  TO-COPY  WAITS-FOR
a      0          3,2     3       1         4.0 MB   -
a      1          4       4       2,3       5.0 MB   broker 4, which is down
`)
	c.pace = 0
	tell(t, c, "partition cancel -t a -p 1", exitOK, "1 move taken back\n")
	tell(t, c, "partition cancel --all", exitOK, "1 move taken back\n")
	tell(t, c, "partition list-moves -o json", exitOK, "[]\n")
	tell(t, c, "partition move -t a -p 0 --to 2,1", exitOK, "a-0 is on 2,1 already\n")
	tell(t, c, "partition move -t a -p 0 --to 1,2", exitOK, "a-0 is on 1,2 now\n")
}

func TestMovesThatCannotBe(t *testing.T) {
	c := newFakeCluster(t, 3)
	c.topic("a", 1, []int32{1, 2})
	c.kill(3)
	c.fence(3)
	tell(t, c, "partition move -t a -p 0 --to 1,3", exitFail, "klamm: broker 3 is fenced and could not copy a-0: start it first\n")
	tell(t, c, "partition move -t a -p 0 --to 1,7", exitFail, "klamm: broker 7 is not in the cluster, which has 1,2,3. See `klamm broker list`\n")
	c.unserved[kmsg.ListPartitionReassignments] = true
	tell(t, c, "partition list-moves", exitFail, "klamm: ask which partitions are on the way to other brokers: this cluster does not serve that\n")
}

func TestElections(t *testing.T) {
	c := newFakeCluster(t, 3)
	c.topic("a", 1, []int32{1, 2}, []int32{2, 3}, []int32{3, 2})
	tell(t, c, "partition elect-leaders", exitOK, "0 leaders elected\n")
	c.kill(3)
	c.fence(3)
	tell(t, c, "partition elect-leaders", exitFail, "0 leaders elected\nklamm: a-2: broker 3 is not up or not in sync. See `klamm cluster health`\n")
	c.start(3)
	tell(t, c, "partition elect-leaders --topic a", exitFail, "0 leaders elected\nklamm: a-2: broker 3 is not up or not in sync. See `klamm cluster health`\n")
	c.pace = 1
	tell(t, c, "partition elect-leaders --topic a --partition 2", exitOK, "1 leader elected: a-2\n")

	c.pace = 0
	for _, id := range []int32{2, 3} {
		c.kill(id)
		c.fence(id)
	}
	tell(t, c, "partition elect-leaders --unclean -t a", exitFail, "0 leaders elected\n"+
		"klamm: a-1: none of its brokers 2,3 is up: start one\na-2: none of its brokers 3,2 is up: start one\n")
	c.start(2)
	tell(t, c, "partition elect-leaders --unclean -t a", exitOK, "2 leaders elected: a-1, a-2\n")
}
