package controller

import (
	"context"
	"flag"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// With -kafka=host:port the transcripts are held against a running Kafka whose
// only node has the id 1 and whose num.partitions is 1: what it answers is what
// they must say. With -rewrite it writes them.
var kafka = flag.String("kafka", "", "`address` of a Kafka to hold the transcripts against")

func TestKafkaTranscripts(t *testing.T) {
	if *kafka == "" {
		t.Skip("no -kafka given")
	}
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		s := transcript{send: ask}
		s.run(t, path)
	})
}

// ask sends req at its own version, which a client would raise.
func ask(t *testing.T, req kmsg.Request) kmsg.Response {
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(req.Key(), req.GetVersion())
	client, err := kgo.NewClient(kgo.SeedBrokers(*kafka), kgo.MaxVersions(versions))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	resp, err := client.Broker(1).Request(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}
