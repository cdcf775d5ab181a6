package controller

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
)

// TestTranscripts asks what a Kafka was asked, and wants the same answers.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		c := newCluster(t)
		s := transcript{send: func(t *testing.T, req kmsg.Request) kmsg.Response {
			return overTheWire(t, c.send(t, req))
		}}
		s.run(t, path)
	})
}

// cluster is an image and the controller that changes it.
type cluster struct {
	img *metadata.Image
	in  Inputs
}

func newCluster(t *testing.T) *cluster {
	broker, _, err := config.Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ids := byte(0)
	c := &cluster{img: metadata.Empty(), in: Inputs{Config: broker, NewTopicID: func() protocol.TopicID {
		ids++
		return protocol.TopicID{15: ids}
	}}}
	c.apply(t, (&Controller{}).RegisterAlone(c.img, metadata.Broker{ID: broker.NodeID}, c.in))
	return c
}

func (c *cluster) apply(t *testing.T, records []metadata.Record) {
	t.Helper()
	img, _, err := c.img.Apply(records)
	if err != nil {
		t.Fatal(err)
	}
	c.img = img
}

// send decides as the broker does, and applies what was decided.
func (c *cluster) send(t *testing.T, req kmsg.Request) kmsg.Response {
	var controller Controller
	var records []metadata.Record
	var resp kmsg.Response
	switch req := req.(type) {
	case *kmsg.CreateTopicsRequest:
		records, resp = controller.CreateTopics(c.img, req, c.in)
	case *kmsg.DeleteTopicsRequest:
		records, resp = controller.DeleteTopics(c.img, req, c.in)
	case *kmsg.CreatePartitionsRequest:
		records, resp = controller.CreatePartitions(c.img, req)
	case *kmsg.AlterConfigsRequest:
		records, resp = controller.AlterConfigs(c.img, req, c.in)
	case *kmsg.IncrementalAlterConfigsRequest:
		records, resp = controller.IncrementalAlterConfigs(c.img, req, c.in)
	case *kmsg.AlterPartitionAssignmentsRequest:
		records, resp = controller.AlterPartitionReassignments(c.img, req, c.in)
	case *kmsg.ListPartitionReassignmentsRequest:
		resp = controller.ListPartitionReassignments(c.img, req)
	case *kmsg.ElectLeadersRequest:
		records, resp = controller.ElectLeaders(c.img, req, c.in)
	case *kmsg.UnregisterBrokerRequest:
		records, resp = controller.UnregisterBroker(c.img, req, c.in)
	default:
		t.Fatalf("no decision for %T", req)
	}
	c.apply(t, records)
	return resp
}

// overTheWire keeps of a response what its version can carry.
func overTheWire(t *testing.T, resp kmsg.Response) kmsg.Response {
	t.Helper()
	read := kmsg.ResponseForKey(resp.Key())
	read.SetVersion(resp.GetVersion())
	if err := read.ReadFrom(resp.AppendTo(nil)); err != nil {
		t.Fatal(fmt.Errorf("read %T: %w", resp, err))
	}
	return read
}
