//go:build cluster

package cluster

import (
	"context"
	"os"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/history"
)

// textPulse is a pulse whose producer is a program of others: the records hold
// nothing but their numbers, as text.
type textPulse struct{ *pulse }

func newTextPulse(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition) *textPulse {
	return &textPulse{newPulse(t, c, tp)}
}

// acknowledged notes an acknowledgement.
func (p *textPulse) acknowledged(seq, offset int64) {
	p.checker.Acked(p.target, offset, history.Record{Producer: pulseKind, Seq: seq})
	p.ack()
}

// stop ends the producer and reads all again.
func (p *textPulse) stop() {
	p.t.Helper()
	p.end()
	ends, err := admin(p.t, p.cluster).ListEndOffsets(p.t.Context(), p.target.Topic)
	must(p.t, err)
	end, _ := ends.Lookup(p.target.Topic, p.target.Partition)
	p.checker.Ended(p.target, end.Offset)
	cl := history.NewReader(p.t, p.cluster.Seeds(), []protocol.TopicPartition{p.target})
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for next := int64(0); next < end.Offset; {
		fetches := cl.PollFetches(ctx)
		must(p.t, ctx.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			seq, err := strconv.ParseInt(string(r.Value), 10, 64)
			if err != nil {
				p.t.Errorf("a value that nobody sent: %q", r.Value)
			}
			p.checker.Read("the last reader", p.target, r.Offset, history.Record{Producer: pulseKind, Seq: seq})
			next = r.Offset + 1
		})
	}
	report(p.t, p.checker)
}

// otherClient is a client that is not franz-go.
type otherClient struct {
	name    string
	missing func() error // what it needs and this machine lacks
	start   func(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition) *textPulse
}

var otherClients = []otherClient{
	{"java", brokers.HasJava, startJavaPulse},
	{"librdkafka", hasLibrdkafka, startLibrdkafkaPulse},
}

// TestFailoverOfOthers measures for how long Apache's Java client and librdkafka go
// without an acknowledgement.
func TestFailoverOfOthers(t *testing.T) {
	for _, s := range otherClients {
		t.Run(s.name, func(t *testing.T) {
			if err := s.missing(); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(err)
				}
				t.Skip("left out: ", err)
			}
			c := startCluster(t, nil)
			tp := createTopic(t, c, "pulse", 1, nil)[0]
			p := s.start(t, c, tp)
			wantAllShort(t, c, tp, p.through)
			p.stop()
			compareReplicas(t, c)
		})
	}
}
