package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/api"
	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/broker/metrics"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/test/wire"
)

// TestWhatOperatorsMayDo: requests about the cluster as a whole need rights to the
// cluster, and who has none is told so wherever the answer has room for it.
func TestWhatOperatorsMayDo(t *testing.T) {
	elect := kmsg.NewPtrElectLeadersRequest()
	elect.Version, elect.Topics = 2, []kmsg.ElectLeadersRequestTopic{{Topic: "a", Partitions: []int32{3}}}
	move := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	move.Version = 1
	move.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "a", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: 3}}}}
	update := kmsg.NewPtrUpdateFeaturesRequest()
	update.Version = 2
	for _, c := range []struct {
		req   kmsg.Request
		need  security.Operation
		words bool // the answer has a message
	}{
		{elect, security.Alter, false},
		{move, security.Alter, true},
		{kmsg.NewPtrListPartitionReassignmentsRequest(), security.Describe, true},
		{&kmsg.UnregisterBrokerRequest{BrokerID: 1}, security.Alter, true},
		{update, security.Alter, true},
	} {
		t.Run(kmsg.NameForKey(c.req.Key()), func(t *testing.T) {
			denies := &denyAll{}
			resp := askDenied(t, denies, c.req)
			if want := []string{fmt.Sprintf("%d of %s", c.need, security.ClusterResource.Name)}; !slices.Equal(denies.asked, want) {
				t.Errorf("asked for %v, want %v", denies.asked, want)
			}
			told := reflect.ValueOf(resp).Elem()
			if code := told.FieldByName("ErrorCode").Int(); code != int64(kerr.ClusterAuthorizationFailed.Code) {
				t.Errorf("code %d", code)
			}
			if c.words && told.FieldByName("ErrorMessage").IsNil() {
				t.Error("no message")
			}
			if topics := told.FieldByName("Topics"); topics.IsValid() && c.need == security.Alter {
				p := topics.Index(0).FieldByName("Partitions").Index(0)
				if p.FieldByName("Partition").Int() != 3 || p.FieldByName("ErrorCode").Int() != int64(kerr.ClusterAuthorizationFailed.Code) {
					t.Errorf("the partition is told %+v", p)
				}
			}
		})
	}
}

// denyAll allows nothing, and notes what it was asked.
type denyAll struct {
	mu sync.Mutex
	// Guarded by mu.
	asked []string
}

func (d *denyAll) Allowed(_ security.Principal, _ string, op security.Operation, res security.Resource) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, fmt.Sprintf("%d of %s", op, res.Name))
	return false
}

func (d *denyAll) AllowedSomewhere(who security.Principal, host string, op security.Operation, kind security.ResourceType) bool {
	return d.Allowed(who, host, op, security.Resource{Type: kind})
}

func (d *denyAll) Ready() bool { return true }

// askDenied sends a request to a handler that has nothing but an authorizer: who is
// denied reaches nothing else.
func askDenied(t *testing.T, denies *denyAll, req kmsg.Request) kmsg.Response {
	c, _, err := config.Load("", nil, []string{"log.dirs=/data"})
	if err != nil {
		t.Fatal(err)
	}
	m := metrics.New(nil, "test")
	h := api.New(api.Deps{Config: c, Authorizer: denies, Metrics: m, Logger: slog.New(slog.DiscardHandler)})
	l, err := listener.Listen(listener.Config{Name: "PLAINTEXT", Addr: "127.0.0.1:0", MaxRequestBytes: 1 << 20},
		listener.Deps{Handler: h, Budget: listener.NewBudget(1 << 20), Logger: slog.New(slog.DiscardHandler), Metrics: m.Listener("PLAINTEXT")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	defer func() { stop(); <-ended }()
	conn, err := wire.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	resp, err := conn.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}
