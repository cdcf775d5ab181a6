package broker

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/test/wire"
)

// TestClientsOfControllers: a client that was given the address of any controller
// (--bootstrap-controller, KIP-919) learns there of all of them and which one decides,
// and how that node is set; and nothing of brokers.
func TestClientsOfControllers(t *testing.T) {
	c := startNodes(t, 3)
	c.await("three brokers take part", unfenced(3))
	decides := int32(c.decides() + 1)
	for i := range c.up {
		conn, err := wire.Dial(controllerOf(c.sets[i]))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		told := describedBy(t, conn, 2)
		if told.ErrorCode != 0 || told.ClusterID != testCluster || told.ControllerID != decides || told.EndpointType != 2 || len(told.Brokers) != 3 {
			t.Errorf("controller %d says of the controllers: %+v", i+1, told)
		}
		if told := describedBy(t, conn, 1); told.ErrorCode != kerr.MismatchedEndpointType.Code {
			t.Errorf("controller %d says of the brokers: %+v", i+1, told)
		}
		configs := kmsg.NewPtrDescribeConfigsRequest()
		configs.Version = 4
		configs.Resources = append(configs.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeBroker, ConfigNames: []string{"node.id"}})
		configs.Resources[0].ResourceName = string('1' + rune(i))
		resp, err := conn.RoundTrip(configs)
		if err != nil {
			t.Fatal(err)
		}
		if r := resp.(*kmsg.DescribeConfigsResponse).Resources[0]; r.ErrorCode != 0 || len(r.Configs) != 1 {
			t.Errorf("controller %d says of its configs: %+v", i+1, r)
		}
	}
}

func describedBy(t *testing.T, conn *wire.Conn, kind int8) *kmsg.DescribeClusterResponse {
	t.Helper()
	req := kmsg.NewPtrDescribeClusterRequest()
	req.Version, req.EndpointType = 2, kind
	resp, err := conn.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.DescribeClusterResponse)
}

// controllerOf is where a node's controller listens, by its settings.
func controllerOf(sets []string) string {
	_, addr, _ := strings.Cut(sets[3], "CONTROLLER://")
	return addr
}
