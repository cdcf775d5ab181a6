package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/health"
)

// healthOf runs the command against a fake cluster, which must say all that want has
// line by line.
func healthOf(t *testing.T, c *fakeCluster, want ...string) {
	t.Helper()
	got := try(t, "", "cluster", "health", "-b", c.address(1))
	if got.code != exitOK {
		t.Errorf("exit %d: %s", got.code, got.errOut)
	}
	for _, line := range want {
		if !strings.Contains(got.out, line) {
			t.Errorf("it does not say %q but\n%s", line, got.out)
		}
	}
}

func TestHealthOfSeveralNodes(t *testing.T) {
	c := newFakeCluster(t, 4)
	c.topic("a", 1e6, []int32{1, 2, 3}, []int32{2, 3, 4}, []int32{4, 2, 1})
	c.topic("solo", 1e6, []int32{4})
	healthOf(t, c, "healthy: 4 brokers, 2 topics, 4 partitions, 10 replicas, 4 voters\n")

	tell(t, c, "cluster health --exit-code", exitOK, "healthy: 4 brokers, 2 topics, 4 partitions, 10 replicas, 4 voters\n")

	c.kill(4)
	healthOf(t, c, "bad      broker 4 does not answer at "+c.address(4)+", although the controller hears")

	c.fence(4)
	healthOf(t, c, "bad      broker 4 at "+c.address(4)+" is fenced",
		"bad      1 partition has no leader: nobody can write or read\n         solo-0\n       → start broker 4, which has all records;",
		"warning  2 partitions have just min.insync.replicas in sync")

	c.start(4)
	healthOf(t, c, "warning  2 replicas are not in sync on broker 4")

	c.mu.Lock()
	c.pace = 1e6
	c.nodes[3].usable, c.nodes[2].usable = 4e9, 14e9
	c.quorum.CurrentVoters[1].LastFetchTimestamp -= 60_000
	c.mu.Unlock()
	healthOf(t, c, "bad      1 disk with less than 5 % free", "broker 3 /data (4 %, 4.0 GB)\n",
		"warning  1 disk with less than 15 % free", "does not hear from 1 of 4 voters")
}

// What a cluster does not serve or allow is not guessed.
func TestHealthSaysWhatIsNotKnown(t *testing.T) {
	c := newFakeCluster(t, 2)
	c.topic("a", 1, []int32{1, 2})
	for _, key := range []kmsg.Key{kmsg.DescribeQuorum, kmsg.ListPartitionReassignments} {
		c.unserved[key] = true
	}
	c.answers[kmsg.DescribeLogDirs] = func(req kmsg.Request) kmsg.Response {
		resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return resp
	}
	healthOf(t, c, "healthy: 2 brokers, 1 topic, 1 partition, 2 replicas\n",
		"unknown  which partitions are on the way to other brokers: this cluster does not serve that\n",
		"unknown  the controller quorum: this cluster does not serve that\n",
		"unknown  folders, disks and the sizes of replicas of broker 2: ", "         (CLUSTER_AUTHORIZATION_FAILED)\n")
}

// A quorum that cannot answer is a problem.
func TestHealthOfADeadQuorum(t *testing.T) {
	c := newFakeCluster(t, 1)
	c.quorum.ErrorCode = kerr.RequestTimedOut.Code
	healthOf(t, c, "bad      the controllers do not answer: ")
}

func TestHealthIsShownAgainOnlyWhereItChanged(t *testing.T) {
	var out bytes.Buffer
	s := &healthScreen{env: &environment{out: &out}, format: "json"}
	for _, text := range []string{"a\n", "a\n", "b\n", "a\n"} {
		if err := s.refresh(text); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != "a\nb\na\n" {
		t.Errorf("shown was %q", out.String())
	}
}

func TestReportFitsOnAScreen(t *testing.T) {
	var out bytes.Buffer
	where := strings.Fields("a-0 a-1 a-2 a-3 a-4 a-5 a-6 a-7 a-8 a-9")
	writeReport(&out, health.Report{Problems: []health.Problem{
		{Severity: health.Bad, What: strings.Repeat("some word ", 10), Where: where, Do: "wait"},
		{Severity: health.Info, What: "it goes on", Do: "wait"},
	}})
	want := `not healthy: 1 bad; 0 brokers, 0 topics, 0 partitions, 0 replicas

bad      some word some word some word some word some word some word some word some word some word
         some word
         a-0, a-1, a-2, a-3, a-4, a-5, a-6, a-7 and 2 more
       → wait

info     it goes on
       → wait
`
	if out.String() != want {
		t.Errorf("written was\n%s", out.String())
	}
}
