package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestBrokersAreListed(t *testing.T) {
	c := newFakeCluster(t, 3)
	c.topic("a", 5e6, []int32{1, 2}, []int32{1, 3})
	c.kill(3)
	c.fence(3)
	got := try(t, "", "broker", "list", "-b", c.address(1))
	want := `BROKER  RACK  HOST  STATE   CONTROLLER  LEADERS  REPLICAS  LOGS     DISK-FREE
1       r1    ONE   active  yes         2        2         10.0 MB  50.0 GB (50 %)
2       r2    TWO   active  -           0        1         5.0 MB   50.0 GB (50 %)
3       r3    THREE fenced  -           0        1         -        -
`
	text := got.out
	for id, name := range map[int32]string{1: "ONE", 2: "TWO", 3: "THREE"} {
		text = strings.Replace(text, c.address(id), name, 1)
	}
	if unaligned(text) != unaligned(want) {
		t.Errorf("listed was\n%s%s", got.out, got.errOut)
	}
}

// unaligned leaves one space between words.
func unaligned(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestABrokerIsForgottenOnlyWhenItIsGone(t *testing.T) {
	c := newFakeCluster(t, 3)
	c.topic("a", 1, []int32{1, 2})
	tell(t, c, "broker unregister 2", exitFail, "klamm: broker 2 is up: stop it first\n")
	c.kill(2)
	c.fence(2)
	tell(t, c, "broker unregister 2", exitFail, "klamm: 1 replica is on broker 2: move them with `klamm broker decommission 2` first\n")
	tell(t, c, "broker unregister 9", exitFail, "klamm: broker 9 is not in the cluster, which has 1,2,3. See `klamm broker list`\n")
	c.kill(3)
	c.fence(3)
	tell(t, c, "broker unregister 3", exitOK, "broker 3 unregistered\n")
	tell(t, c, "broker unregister 2 --force", exitOK, "broker 2 unregistered\n")
	c.unserved[kmsg.UnregisterBroker] = true
	tell(t, c, "broker unregister 1 --force", exitFail, "klamm: unregister broker 1: this cluster does not serve that\n")
}
