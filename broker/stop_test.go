package broker

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/test/wire"
)

// joinRequest lets a client join a group without being given a member id first.
func joinRequest(group string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.ProtocolType = 3, group, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 300_000, 300_000
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{}}}
	return req
}

// TestStopAnswersWhoWaits stops a broker while clients wait for records and for
// the members of their group: both are answered before the broker hangs up, and
// it need not wait as long as they would have.
func TestStopAnswersWhoWaits(t *testing.T) {
	n := start(t, disk.NewMemory(), "/data")
	n.create(nil, "quiet")
	n.findCoordinator("g")
	first := n.dial()
	eventually(t, "the group has its first member", func() bool {
		return askOn[*kmsg.JoinGroupResponse](t, first, joinRequest("g")).ErrorCode == 0
	})
	poll := fetchRequest(11, "quiet", 0)
	poll.MaxWaitMillis, poll.MinBytes = 300_000, 1
	polling, joining := n.dial(), n.dial()
	send(t, polling, poll)
	send(t, joining, joinRequest("g"))
	quiet, err := n.partitions.Get("quiet", 0)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "somebody waits for records", func() bool { return quiet.Polls().Waiting() == 1 })
	eventually(t, "the group waits for its first member", func() bool { return n.group("g").State == "PreparingRebalance" })
	began := time.Now()
	n.stopClean()
	if took := time.Since(began); took > 8*time.Second { // what hangs is cut off after 10 s
		t.Errorf("the stop took %v", took)
	}
	if got := lastAnswer[*kmsg.FetchResponse](t, polling, poll).Topics[0].Partitions[0].ErrorCode; got != 0 {
		t.Errorf("who waits for records is answered with code %d", got)
	}
	if got := lastAnswer[*kmsg.JoinGroupResponse](t, joining, joinRequest("g")).ErrorCode; got != kerr.NotCoordinator.Code {
		t.Errorf("who waits for its group is answered with code %d, want that of NOT_COORDINATOR", got)
	}
}

func send(t *testing.T, c *wire.Conn, req kmsg.Request) {
	t.Helper()
	if err := c.Send(wire.Frame(req, 1)); err != nil {
		t.Fatal(err)
	}
}

// lastAnswer is the answer to req, after which the connection must end in order.
func lastAnswer[R kmsg.Response](t *testing.T, c *wire.Conn, req kmsg.Request) R {
	t.Helper()
	frame, err := c.Receive()
	if err != nil {
		t.Fatalf("%s: no answer: %v", kmsg.NameForKey(req.Key()), err)
	}
	resp, err := wire.Decode(req, frame)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("%s: the connection ends with %v, want EOF", kmsg.NameForKey(req.Key()), err)
	}
	return resp.(R)
}
