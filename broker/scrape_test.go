package broker

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/metrics"
	"github.com/klamm-io/klamm/storage/disk"
)

// scrape returns what a monitor reads, by name and labels.
func (n *node) scrape() map[string]float64 {
	n.t.Helper()
	families, err := n.metrics.Registry().Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += "|" + l.GetName() + "=" + l.GetValue()
			}
			all[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue() + float64(m.GetSummary().GetSampleCount())
		}
	}
	return all
}

// TestScrapeAfterTraffic holds what monitors read against what was done and what
// admin clients are told.
func TestScrapeAfterTraffic(t *testing.T) {
	n := start(t, disk.NewMemory(), "/data")
	n.createWith(2, nil, "flights")
	n.create(nil, "gone")
	n.mustPut("flights", "a", "b", "c")
	n.mustPut("gone", "x")
	reader := n.dial()
	askOn[*kmsg.FetchResponse](t, reader, fetchRequest(11, "flights", 0))
	if code := n.putTo("flights", 7, values(t, "nowhere")); code == 0 {
		t.Fatal("a partition that is not there took a batch")
	}
	adm := kadm.NewClient(n.client())
	n.commit(adm, "g", map[string]int64{"flights": 1, "gone": 1})
	n.commit(adm, "g-beyond", map[string]int64{"flights": 99})
	if _, err := adm.DeleteTopic(deadline(t), "gone"); err != nil {
		t.Fatal(err)
	}
	n.agreesOnLag(adm, "g")
	got := n.scrape()
	for name, want := range map[string]float64{
		"kafka_server_brokertopicmetrics_messagesin_total|topic=flights":               3,
		"kafka_server_brokertopicmetrics_totalfetchrequests_total|topic=flights":       1,
		"kafka_network_requestmetrics_requests_total|request=FetchConsumer|version=11": 1,
		"kafka_network_requestmetrics_remotetimems|request=FetchConsumer":              1,
		"kafka_topic_partition_current_offset|partition=0|topic=flights":               3,
		"kafka_topic_partition_leader|partition=1|topic=flights":                       1,
		"kafka_topic_partitions|topic=flights":                                         2,
		"kafka_consumergroup_current_offset|consumergroup=g|partition=0|topic=flights": 1,
		"kafka_consumergroup_lag|consumergroup=g|partition=0|topic=flights":            2,
		"kafka_consumergroup_lag_sum|consumergroup=g|topic=flights":                    2,
		"kafka_consumergroup_lag|consumergroup=g-beyond|partition=0|topic=flights":     0,
		"kafka_consumergroup_members|consumergroup=g":                                  0,
		"kafka_coordinator_group_groupmetadatamanager_numgroupsempty":                  2,
		"kafka_server_kafkaserver_brokerstate":                                         3,
		"kafka_server_raft_metrics_current_leader":                                     1,
		"kafka_brokers": 1,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s = %v (there: %v), want %v", name, v, ok, want)
		}
	}
	for name, v := range got {
		if strings.Contains(name, "topic=gone") {
			t.Errorf("%s is told of a topic that was deleted", name)
		}
		if v < 0 && strings.HasPrefix(name, "kafka_") {
			t.Errorf("%s = %v", name, v)
		}
	}
	n.countsAllTopics(got)
}

// commit lets a group commit offsets in partition 0 of topics.
func (n *node) commit(adm *kadm.Client, group string, at map[string]int64) {
	n.t.Helper()
	offsets := kadm.Offsets{}
	for topic, offset := range at {
		offsets.AddOffset(topic, 0, offset, -1)
	}
	if err := adm.CommitAllOffsets(deadline(n.t), group, offsets); err != nil {
		n.t.Fatal(err)
	}
}

// agreesOnLag compares the lags of a group that are scraped with those that an
// admin client works out.
func (n *node) agreesOnLag(adm *kadm.Client, group string) {
	n.t.Helper()
	lags, err := adm.Lag(deadline(n.t), group)
	if err != nil {
		n.t.Fatal(err)
	}
	got, compared := n.scrape(), 0
	for topic, partitions := range lags[group].Lag {
		for p, lag := range partitions {
			name := "kafka_consumergroup_lag|consumergroup=" + group + "|partition=" + strconv.Itoa(int(p)) + "|topic=" + topic
			v, there := got[name]
			switch {
			case lag.Commit.At < 0 || lag.Err != nil: // nothing committed, or nothing known
				if there {
					n.t.Errorf("%s = %v, and the admin client knows none: %v", name, v, lag.Err)
				}
			case !there || int64(v) != lag.Lag:
				n.t.Errorf("%s = %v (there: %v), the admin client says %d", name, v, there, lag.Lag)
			default:
				compared++
			}
		}
	}
	if compared == 0 {
		n.t.Errorf("no lag of %s was compared", group)
	}
}

// countsAllTopics checks that a series without a topic is at least what those with
// one add up to: it keeps what deleted topics counted.
func (n *node) countsAllTopics(got map[string]float64) {
	n.t.Helper()
	sums := map[string]float64{}
	for name, v := range got {
		if family, topic, found := strings.Cut(name, "|topic="); found && strings.HasPrefix(name, "kafka_server_brokertopicmetrics_") && topic != "" {
			sums[family] += v
		}
	}
	if len(sums) == 0 {
		n.t.Error("no topic is counted")
	}
	for family, sum := range sums {
		if all, ok := got[family]; !ok || all < sum {
			n.t.Errorf("%s of all topics = %v (there: %v), the topics add up to %v", family, all, ok, sum)
		}
	}
}

// TestScrapeOfManyPartitions bounds what a scrape costs. It takes a second of one
// core; monitors give up after 10 s.
func TestScrapeOfManyPartitions(t *testing.T) {
	const topics, partitions = 10, 1000
	n := start(t, disk.NewMemory(), "/data")
	for i := range topics {
		n.createWith(partitions, nil, "wide-"+strconv.Itoa(i))
	}
	handler := metrics.Handler(n.metrics, func() error { return nil })
	answer := httptest.NewRecorder()
	began := time.Now()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	took, size := time.Since(began), answer.Body.Len()
	if got := bytes.Count(answer.Body.Bytes(), []byte("\nkafka_log_log_size{")); got != topics*partitions {
		t.Fatalf("%d partitions were told, want %d", got, topics*partitions)
	}
	t.Logf("%d partitions: %v, %d bytes", topics*partitions, took, size)
	if took > patience || size > 20<<20 {
		t.Fatalf("a scrape took %v and %d bytes", took, size)
	}
}
