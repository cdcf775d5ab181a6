package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/klamm-io/klamm/cluster/health"
)

// restarted runs a rolling restart of nodes of a fake cluster. command is what
// happens for each; what is said is returned, with the error last.
func (c *fakeCluster) restarted(o restartOptions, command func(id int32) error, ids ...int32) string {
	c.t.Helper()
	errOut, err := os.Create(filepath.Join(c.t.TempDir(), "err"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer errOut.Close()
	var out bytes.Buffer
	env := &environment{out: &out, errOut: errOut, brokers: []string{c.address(1), c.address(2)}}
	client, err := env.dial(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	if o.timeout == 0 {
		o.timeout = time.Minute
	}
	r := &rollingRestart{env: env, options: o, look: func(ctx context.Context) (*health.Facts, error) {
		return gather(ctx, client, askMinISR, askLogDirs, askQuorum)
	}}
	r.run = func(_ context.Context, text string) error {
		var id int32
		fmt.Sscanf(text, "restart %d", &id)
		return command(id)
	}
	for _, id := range ids {
		r.left = append(r.left, nodeCommand{id, fmt.Sprint("restart ", id)})
	}
	err = r.restartAll(context.Background())
	text := readBack(c.t, errOut) + out.String()
	if err != nil {
		text += err.Error() + "\n"
	}
	return regexp.MustCompile(`after [0-9]+ s`).ReplaceAllString(text, "after N s")
}

// bounce is a command that works: the node has to copy all when it comes back.
func (c *fakeCluster) bounce(id int32) error {
	c.kill(id)
	c.fence(id)
	c.mu.Lock()
	for _, sizes := range c.sizes {
		sizes[id] = 0
	}
	c.mu.Unlock()
	c.start(id)
	return nil
}

func TestNodesAreRestartedTheControllerLast(t *testing.T) {
	c := newFakeCluster(t, 3)
	c.topic("a", 3e6, []int32{1, 2, 3}, []int32{2, 3, 1}, []int32{3, 1, 2})
	c.pace = 1e6
	says(t, c.restarted(restartOptions{}, c.bounce, 1, 2, 3),
		"node 2: restart 2", "waiting: 3 replicas on it are not in sync: a-0, a-1, a-2",
		"node 3: restart 3", "waiting: 3 replicas on it are not in sync: a-0, a-1, a-2",
		"node 1: restart 1", "waiting: 3 replicas on it are not in sync: a-0, a-1, a-2",
		"1 partition is not led by the preferred leader now: `klamm partition elect-leaders` changes that.",
		"node 2 restarted, and well after N s", "node 3 restarted, and well after N s", "node 1 restarted, and well after N s")
}

// Before a node is restarted, those that were down before must have caught up.
func TestARestartWaitsForOtherReplicas(t *testing.T) {
	c := newFakeCluster(t, 3)
	c.topic("a", 3e6, []int32{1, 2, 3})
	if err := c.bounce(3); err != nil {
		t.Fatal(err)
	}
	c.pace = 1e6
	says(t, c.restarted(restartOptions{}, func(id int32) error {
		if topic, _ := c.img.Topic("a"); !slices.Contains(topic.Partitions[0].ISR, 3) {
			t.Error("broker 3 is not in sync yet")
		}
		return c.bounce(id)
	}, 2), "waiting: 1 partition has too few replicas in sync besides broker 2: a-0 (wait until broker 3 caught up)",
		"node 2: restart 2", "waiting: 1 replica on it is not in sync: a-0", "node 2 restarted, and well after N s")
}

func TestARestartStopsWhereANodeDoesNotHeal(t *testing.T) {
	c := newFakeCluster(t, 3)
	c.topic("a", 3e6, []int32{1, 2, 3})
	says(t, c.restarted(restartOptions{timeout: time.Millisecond}, c.bounce, 2, 3),
		"node 2: restart 2", "waiting: 1 replica on it is not in sync: a-0",
		"node 2 is not well after its restart: 1 replica on it is not in sync: a-0. See `klamm cluster health`; left as they are: 3. When node 2 is well, run this again for these")
	says(t, c.restarted(restartOptions{timeout: time.Millisecond}, c.bounce, 3),
		"waiting: 1 partition has too few replicas in sync besides broker 3: a-0 (wait until broker 2 caught up)",
		"node 3 was not restarted, since the cluster cannot do without it: 1 partition has too few replicas in sync besides broker 3: a-0 (wait until broker 2 caught up). See `klamm cluster health`")
}

func TestARestartStopsWhereACommandDoesNothing(t *testing.T) {
	c := newFakeCluster(t, 3)
	c.topic("a", 1, []int32{1, 2, 3})
	c.pace = 1
	commands := 0
	says(t, c.restarted(restartOptions{}, func(id int32) error {
		if commands++; commands == 2 {
			return errors.New("exit status 255")
		}
		return c.bounce(id)
	}, 2, 3, 1),
		"node 2: restart 2", "node 3: restart 3", "node 2 restarted, and well after N s",
		"the command for node 3 failed: exit status 255. See `klamm cluster health`; restarted before: 2; left as they are: 1. When node 3 is well, run this again for these")
	says(t, c.restarted(restartOptions{timeout: time.Millisecond}, func(int32) error { return nil }, 2),
		"node 2: restart 2", "node 2 did not go down after its command: see whether that restarts it. See `klamm cluster health`")
}

func TestNothingBecomesUnavailableUnasked(t *testing.T) {
	c := newFakeCluster(t, 2)
	c.topic("solo", 1, []int32{2}, []int32{1})
	c.pace = 1
	why := "1 partition needs each of its replicas, one of them on node 2: solo-0; without node 2 there is no majority of the controllers (2 in all), and nothing can be changed"
	says(t, c.restarted(restartOptions{}, c.bounce, 2, 9),
		"node 2 is needed: "+why+". Pass --allow-unavailable to restart it all the same",
		"broker 9 is not in the cluster, which has 1,2. See `klamm broker list`")
	says(t, c.restarted(restartOptions{unavailable: true}, c.bounce, 2),
		"While node 2 is away: "+why+".", "node 2: restart 2", "node 2 restarted, and well after N s")
	tell(t, c, "cluster restart --node 1=true --node 2=true --dry-run", exitOK, `NODE  STATE  IN-THE-WAY
2     well   1 partition needs each of its replicas, one of them on node 2: solo-0; without node 2 there is no majority of the controllers (2 in all), and nothing can be changed
1     well   1 partition needs each of its replicas, one of them on node 1: solo-1; without node 1 there is no majority of the controllers (2 in all), and nothing can be changed
`)
}

func TestCommandsAreRunByTheShell(t *testing.T) {
	errOut, err := os.Create(filepath.Join(t.TempDir(), "err"))
	if err != nil {
		t.Fatal(err)
	}
	defer errOut.Close()
	env := &environment{errOut: errOut}
	if err := env.runCommand(t.Context(), "for i in 1 2; do echo $i; done"); err != nil {
		t.Error(err)
	}
	if err := env.runCommand(t.Context(), "exit 3"); err == nil || err.Error() != "exit status 3" {
		t.Errorf("the error is %v", err)
	}
	if got := readBack(t, errOut); got != "1\n2\n" {
		t.Errorf("it said %q", got)
	}
}

func TestTheActiveControllerIsLast(t *testing.T) {
	r := &rollingRestart{left: []nodeCommand{{id: 2}, {id: 1}, {id: 3}}}
	var order []int32
	for _, controller := range []int32{2, 1, 1} {
		order = append(order, r.next(&health.Facts{Controller: controller}).id)
	}
	if !slices.Equal(order, []int32{1, 2, 3}) {
		t.Errorf("the order is %v", order)
	}
}
