package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klamm-io/klamm/cluster/health"
)

// decommission runs a decommission of brokers that looks as often as it can, and
// returns all that it says, with the error last.
func (c *fakeCluster) decommission(o decommissionOptions, leaving ...int32) string {
	c.t.Helper()
	errOut, err := os.Create(filepath.Join(c.t.TempDir(), "err"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer errOut.Close()
	var out bytes.Buffer
	env := &environment{out: &out, errOut: errOut, brokers: []string{c.address(1)}}
	client, err := env.dial(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	d := newDecommissioning(env, client, leaving, o)
	d.pause, d.throttle.patience = 0, 0
	if o.atOnce == 0 {
		d.options.atOnce = 1000
	}
	err = d.run(context.Background())
	text := readBack(c.t, errOut) + out.String()
	if err != nil {
		text += err.Error() + "\n"
	}
	return text
}

// says compares what was said line by line.
func says(t *testing.T, got string, want ...string) {
	t.Helper()
	if got != strings.Join(want, "\n")+"\n" {
		t.Errorf("said was\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

const (
	goesOn = "The cluster goes on by itself. Run the command again to see how far it is, and at the end how to stop the broker; with --watch it stays."
	goodBy = "Node 4 is also a voter of the controller quorum, and stays one, since controller.quorum.voters names it: when it is stopped, so many fewer of the others may fail. Stop broker 4, as with `systemctl stop klamm` at 127.0.0.1. Then make the cluster forget it: `klamm broker unregister 4`."
)

func TestDecommissionStepByStep(t *testing.T) {
	c := newFakeCluster(t, 4)
	c.topic("a", 4e6, []int32{4, 2}, []int32{1, 4})
	tell(t, c, "broker decommission 4 --dry-run", exitOK, `TOPIC  PARTITION  FROM  TO
a      0          4,2   3,2
a      1          1,4   1,2
Nothing was changed. It would copy about 8.0 MB.
`)
	says(t, c.decommission(decommissionOptions{}, 4), goesOn, "broker 4: 2 replicas left, 2 on the way, about 8.0 MB to copy")
	c.pace = 1e6
	says(t, c.decommission(decommissionOptions{}, 4), goesOn, "broker 4: 2 replicas left, 2 on the way, about 4.0 MB to copy")
	c.pace = 4e6
	says(t, c.decommission(decommissionOptions{}, 4), goodBy, "broker 4: nothing left")
	if !slices.Equal(c.altered, []string{"broker 4 cordoned.log.dirs=*"}) {
		t.Errorf("configs that were altered are %q", c.altered)
	}
	c.kill(4)
	c.fence(4)
	tell(t, c, "broker unregister 4", exitOK, "broker 4 unregistered\n")
	tell(t, c, "broker decommission 4", exitFail, "klamm: broker 4 is not in the cluster, which has 1,2,3. See `klamm broker list`\n")
}

func TestDecommissionIsWatched(t *testing.T) {
	c := newFakeCluster(t, 4)
	c.topic("a", 4e6, []int32{4, 2}, []int32{1, 4}, []int32{1, 2})
	c.topic("b", 4e6, []int32{4})
	c.pace, c.refused = 1e6, cordonedDirs
	says(t, c.decommission(decommissionOptions{watch: true, atOnce: 1, rate: 5000}, 4),
		"This cluster cannot keep new partitions away from broker 4; those that come are moved too.",
		"broker 4: 3 replicas left, 1 on the way, about 12.0 MB to copy",
		"The throttle of the brokers was taken away.", goodBy, "broker 4: nothing left")
	if !slices.Contains(c.altered, "broker 2 leader.replication.throttled.rate=5000") || !slices.Contains(c.altered, "topic a follower.replication.throttled.replicas=*") {
		t.Errorf("configs that were altered are %q", c.altered)
	}
	for resource, configs := range c.configs {
		if len(configs) > 0 {
			t.Errorf("%s still has %v", resource, configs)
		}
	}
}

func TestDecommissionNamesWhatCannotMove(t *testing.T) {
	c := newFakeCluster(t, 4)
	c.topic("full", 1, []int32{1, 2, 3, 4}, []int32{4, 3, 2, 1})
	c.topic("free", 1, []int32{4})
	c.pace = 1
	says(t, c.decommission(decommissionOptions{watch: true}, 4),
		"broker 4: 3 replicas left, 1 on the way, 2 stuck, about 3 B to copy",
		"2 partitions cannot leave broker 4: every other broker that takes replicas has it already: full-0, full-1",
		"Add a broker, give them fewer replicas with `klamm partition move`, or see `klamm cluster health`; then run this again")
}

// Another broker dies while it copies: the replica goes elsewhere. A dead broker's
// replicas are copied from others; what it alone had stays.
func TestDecommissionWhileBrokersDie(t *testing.T) {
	c := newFakeCluster(t, 4)
	c.topic("a", 1, []int32{4, 1})
	c.topic("solo", 1, []int32{4})
	c.kill(4)
	c.fence(4)
	says(t, c.decommission(decommissionOptions{}, 4), goesOn, "broker 4: 2 replicas left, 1 on the way, 1 stuck, about 1 B to copy",
		"1 partition cannot leave broker 4: it has no leader to copy from: solo-0",
		"Add a broker, give them fewer replicas with `klamm partition move`, or see `klamm cluster health`; then run this again")
	tell(t, c, "partition list-moves", exitOK, "TOPIC  PARTITION  TARGET  ADDING  REMOVING  TO-COPY  WAITS-FOR\na      0          2,1     2       4         1 B      -\n")
	c.kill(2)
	c.fence(2)
	c.pace = 1
	c.decommission(decommissionOptions{watch: true}, 4)
	tell(t, c, "partition list-moves", exitOK, "TOPIC  PARTITION  TARGET  ADDING  REMOVING  TO-COPY  WAITS-FOR\n")
	if topic, _ := c.img.Topic("a"); !slices.Equal(topic.Partitions[0].Replicas, []int32{3, 1}) {
		t.Errorf("its replicas are %v", topic.Partitions[0].Replicas)
	}
}

func TestDecommissionIsTakenBack(t *testing.T) {
	c := newFakeCluster(t, 3)
	c.topic("a", 1, []int32{3}, []int32{3})
	c.topic("b", 1, []int32{2})
	says(t, c.decommission(decommissionOptions{atOnce: 1, rate: 7}, 3), goesOn, "broker 3: 2 replicas left, 1 on the way, about 2 B to copy")
	tell(t, c, "broker undecommission 3", exitOK, "1 move taken back\nThe throttle of the brokers was taken away.\n")
	tell(t, c, "partition list-moves -o json", exitOK, "[]\n")
	if len(c.configs["broker 3"]) > 0 {
		t.Errorf("broker 3 still has %v", c.configs["broker 3"])
	}
}

func TestAThrottleThatHasNoEffectIsRefused(t *testing.T) {
	c := newFakeCluster(t, 3)
	c.topic("a", 1, []int32{3})
	c.ignored = throttledRates[0]
	says(t, c.decommission(decommissionOptions{rate: 7}, 3),
		"broker 1 does not slow replicas down (leader.replication.throttled.rate): leave out --throttle, and bound with --at-once how many partitions are on their way at a time")
	tell(t, c, "partition list-moves -o json", exitOK, "[]\n")
}

func TestADynamicVoterIsToldHowItsVoteGoes(t *testing.T) {
	f := &health.Facts{Brokers: []health.Broker{{ID: 4, Fenced: true}}, Quorum: &health.Quorum{Leader: 1, Voters: []health.Voter{{ID: 4}}}}
	want := "Node 4 is also a voter of the controller quorum: `klamm quorum remove 4` takes its vote away. Then make the cluster forget it: `klamm broker unregister 4`."
	if got := lastSteps(f, 4); got != want {
		t.Errorf("the last steps are %q", got)
	}
}

// A broker hears later than the controller that a move is done.
func TestAMoveThatIsDoneIsNotMadeAgain(t *testing.T) {
	told := func(replicas, adding, removing []int32) *health.Facts {
		return &health.Facts{Partitions: []health.Partition{{TopicPartition: topicPartition{Topic: "a"}, Replicas: replicas, Adding: adding, Removing: removing}}}
	}
	d := &decommissioning{}
	d.remember(told([]int32{2, 1}, []int32{2}, []int32{1}))
	stale := told([]int32{2, 1}, nil, nil)
	if d.remember(stale); !stale.Partitions[0].Moving() {
		t.Error("a partition with the replicas of a move is no longer on its way")
	}
	done := told([]int32{2}, nil, nil)
	if d.remember(done); done.Partitions[0].Moving() {
		t.Error("one whose move is done is on its way")
	}
}

func TestStall(t *testing.T) {
	var s stall
	start := time.Unix(0, 0)
	for i, c := range []struct {
		after time.Duration
		seen  string
		over  bool
	}{
		{0, "a", false},
		{stallAfter - 1, "a", false},
		{stallAfter, "b", false},
		{2*stallAfter - 1, "b", false},
		{2 * stallAfter, "b", true},
	} {
		if got := s.over(start.Add(c.after), c.seen); got != c.over {
			t.Errorf("look %d: over is %v", i, got)
		}
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "500kB": 500_000, "20MB/s": 20_000_000, "1.5 GB": 1_500_000_000, "2MiB": 2 << 20, "3M": 3_000_000} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("parseRate(%s) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "fast", "-1MB", "10XB", "0.5"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("parseRate(%q) = %d", text, got)
		}
	}
}
