package metrics

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/klamm-io/klamm/broker/listener"
)

type fixedState struct{}

func (fixedState) Broker() Broker {
	return Broker{ID: 1, Address: "127.0.0.1:9092", Topics: 1, ActiveController: true, QuorumLeader: 3, QuorumEpoch: 9, Transactions: map[string]int{"Ongoing": 2}, Undelivered: 1, LateTransactions: 1, ProducerIDs: 5, LogDirs: map[string]bool{"/data": true, "/lost": false}, Groups: map[GroupKind]int{{"classic", "Stable"}: 2, {"consumer", "Reconciling"}: 1}}
}

func (fixedState) Partitions() []Partition {
	return []Partition{
		{Topic: "flights", Partition: 0, LogStart: 5, Stable: 83, End: 90, LogEnd: 100, Size: 4096, Segments: 2, Leader: 1, Preferred: 1, Replicas: 1, InSync: 1, MinInSync: 1},
		{Topic: "flights", Partition: 1, Leader: 1, Preferred: 2, Replicas: 2, InSync: 1, MinInSync: 2},
	}
}

func (fixedState) Groups() []Group {
	return []Group{{Name: "g", Members: 3, Offsets: []GroupOffset{
		{Topic: "flights", Partition: 0, Offset: 70, Lag: 20},
		{Topic: "flights", Partition: 1, Offset: 4, Lag: 0},
		{Topic: "gone", Partition: 0, Offset: 5, Lag: -1},
	}}}
}

func (fixedState) Quotas() []Quota {
	return []Quota{
		{Resource: "Produce", User: "alice", ClientID: "loader", PerSecond: 1024, Throttle: 250 * time.Millisecond},
		{Resource: "Fetch", User: "bob", PerSecond: 77},
		{Resource: "Request", ClientID: "loader", PerSecond: 12.5},
		{Resource: "ControllerMutation", User: "alice", PerSecond: 0.5},
	}
}

func (fixedState) Cleaner() Cleaner {
	return Cleaner{
		SinceLook: 1500 * time.Millisecond, DirtyRatio: 0.259, Passes: 3, BytesRead: 1000, BytesKept: 400, LastRecopy: 0.4, LastKeys: 0.07,
		Folders: []CleanerFolder{{Path: "/data", Uncleanable: 1, UncleanableBytes: 77}},
		Logs: []CleanerLog{
			{Topic: "planes", Partition: 0, FirstDirty: 12, DirtyBytes: 34, Progress: -1},
			{Topic: "planes", Partition: 1, Progress: 0.5},
		},
	}
}

func used() *Metrics {
	m := New(fixedState{}, "1.2.3")
	m.Produced("flights", 600, 65_000)
	m.ProduceFailed("flights")
	m.Fetched("flights", 1000)
	m.FetchFailed("flights")
	m.Answered(listener.Served{API: "Produce", Version: 9, Times: listener.Times{Local: time.Millisecond, Remote: 2 * time.Millisecond}})
	m.Answered(listener.Served{API: "Fetch", Role: "FetchConsumer", Version: 13, Times: listener.Times{Send: time.Millisecond}})
	m.Flushed(time.Millisecond)
	plaintext := m.Listener("PLAINTEXT")
	plaintext.ConnectionOpened()
	plaintext.ConnectionOpened()
	plaintext.ConnectionClosed("idle")
	return m
}

// TestNamesThatDashboardsUse holds the names and values that other people's
// dashboards and alerts are written for.
func TestNamesThatDashboardsUse(t *testing.T) {
	families, err := used().Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += "|" + l.GetName() + "=" + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
			if s := m.GetSummary(); s != nil {
				got[name+"_count"], got[name+"_sum"] = float64(s.GetSampleCount()), s.GetSampleSum()
			}
		}
	}
	for name, why := range map[string]string{
		"klamm_compaction_progress_ratio|partition=0|topic=planes":       "the log is not being compacted",
		"kafka_consumergroup_lag|consumergroup=g|partition=0|topic=gone": "the partition is not known, so no lag is",
		"kafka_consumergroup_lag_sum|consumergroup=g|topic=gone":         "no lag is known to sum up",
	} {
		if _, ok := got[name]; ok {
			t.Errorf("%s is told, but %s", name, why)
		}
	}
	for name, want := range map[string]float64{
		"kafka_server_replicamanager_underreplicatedpartitions":                           1,
		"kafka_server_replicamanager_underminisrpartitioncount":                           1,
		"kafka_server_replicamanager_partitioncount":                                      2,
		"kafka_controller_kafkacontroller_activecontrollercount":                          1,
		"kafka_controller_kafkacontroller_offlinepartitionscount":                         0,
		"kafka_controller_kafkacontroller_preferredreplicaimbalancecount":                 1,
		"kafka_server_brokertopicmetrics_messagesin_total|topic=flights":                  600,
		"kafka_server_brokertopicmetrics_bytesin_total|topic=flights":                     65_000,
		"kafka_server_brokertopicmetrics_bytesout_total|topic=flights":                    1000,
		"kafka_server_brokertopicmetrics_totalproducerequests_total|topic=flights":        2,
		"kafka_server_brokertopicmetrics_failedfetchrequests_total|topic=flights":         1,
		"kafka_server_brokertopicmetrics_messagesin_total":                                600,
		"kafka_server_brokertopicmetrics_failedproducerequests_total":                     1,
		"kafka_network_requestmetrics_requests_total|request=Produce|version=9":           1,
		"kafka_network_requestmetrics_requests_total|request=Fetch|version=13":            1,
		"kafka_network_requestmetrics_requests_total|request=FetchConsumer|version=13":    1,
		"kafka_network_requestmetrics_totaltimems|request=Produce_count":                  1,
		"kafka_network_requestmetrics_totaltimems|request=Produce_sum":                    3,
		"kafka_network_requestmetrics_localtimems|request=Produce_sum":                    1,
		"kafka_network_requestmetrics_remotetimems|request=Produce_sum":                   2,
		"kafka_network_requestmetrics_responsesendtimems|request=FetchConsumer_sum":       1,
		"kafka_log_logflushstats_logflushrateandtimems_count":                             1,
		"kafka_cluster_partition_underminisr|partition=1|topic=flights":                   1,
		"kafka_cluster_partition_atminisr|partition=0|topic=flights":                      1,
		"kafka_cluster_partition_laststableoffsetlag|partition=0|topic=flights":           7,
		"kafka_coordinator_group_groupmetadatamanager_numoffsets":                         3,
		"kafka_log_logmanager_logdirectoryoffline|logDirectory=/lost":                     1,
		"kafka_log_logmanager_offlinelogdirectorycount":                                   1,
		"kafka_server_socket_server_metrics_connection_count|listener=PLAINTEXT":          1,
		"kafka_server_socket_server_metrics_connection_creation_total|listener=PLAINTEXT": 2,
		"kafka_server_socket_server_metrics_connection_close_total|listener=PLAINTEXT":    1,
		"kafka_network_socketserver_expiredconnectionskilledcount":                        1,
		"klamm_connections":                                                                 1,
		"kafka_log_log_size|partition=0|topic=flights":                                      4096,
		"kafka_coordinator_group_groupmetadatamanager_numgroups":                            3,
		"klamm_groups|state=Reconciling|type=consumer":                                      1,
		"kafka_server_replicamanager_partitionswithlatetransactionscount":                   1,
		"klamm_transactional_ids|state=Ongoing":                                             2,
		"kafka_server_raft_metrics_current_leader":                                          3,
		"kafka_server_raft_metrics_current_epoch":                                           9,
		"kafka_server_quota_throttle_time|clientId=loader|resource=Produce|user=alice":      250,
		"kafka_server_quota_byte_rate|clientId=loader|resource=Produce|user=alice":          1024,
		"kafka_server_quota_byte_rate|clientId=|resource=Fetch|user=bob":                    77,
		"kafka_server_quota_request_time|clientId=loader|resource=Request|user=":            12.5,
		"kafka_server_quota_mutation_rate|clientId=|resource=ControllerMutation|user=alice": 0.5,
		"kafka_brokers":                        1,
		"kafka_topic_partitions|topic=flights": 2,
		"kafka_topic_partition_current_offset|partition=0|topic=flights":       90,
		"kafka_topic_partition_oldest_offset|partition=0|topic=flights":        5,
		"kafka_consumergroup_lag|consumergroup=g|partition=0|topic=flights":    20,
		"kafka_consumergroup_lag_sum|consumergroup=g|topic=flights":            20,
		"kafka_consumergroup_current_offset_sum|consumergroup=g|topic=flights": 74,
		"kafka_consumergroup_members|consumergroup=g":                          3,
		"klamm_build_info|version=1.2.3":                                       1,
		"kafka_log_logcleaner_cleaner_recopy_percent":                          40,
		"kafka_log_logcleaner_max_buffer_utilization_percent":                  7,
		"kafka_log_logcleanermanager_max_dirty_percent":                        25,
		"kafka_log_logcleanermanager_time_since_last_run_ms":                   1500,

		"kafka_log_logcleanermanager_uncleanable_partitions_count|logDirectory=/data": 1,
		"kafka_log_logcleanermanager_uncleanable_bytes|logDirectory=/data":            77,
		"klamm_compaction_passes_total":                                               3,
		"klamm_compaction_written_bytes_total":                                        400,
		"klamm_compaction_first_dirty_offset|partition=0|topic=planes":                12,
		"klamm_compaction_progress_ratio|partition=1|topic=planes":                    0.5,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s = %v (there: %v), want %v", name, v, ok, want)
		}
	}
}

// TestLint runs the checks of "promtool check metrics". Names that others chose
// may be against its advice.
func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(used().Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "kafka_log_logcleanermanager_") && !strings.HasPrefix(p.Metric, "kafka_server_quota_") && !slices.Contains([]string{
			"kafka_log_logmanager_logdirectoryoffline", "kafka_server_socket_server_metrics_connection_count",
		}, p.Metric) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestHistogramsAreNative(t *testing.T) {
	families, err := used().Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	native := 0
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "klamm_") && f.GetType().String() == "HISTOGRAM" {
			if len(f.GetMetric()[0].GetHistogram().GetPositiveSpan()) == 0 {
				t.Errorf("%s has no native buckets", f.GetName())
			}
			native++
		}
	}
	if native != 2 {
		t.Fatalf("%d histograms, want 2", native)
	}
}

func TestForgottenTopicIsGone(t *testing.T) {
	m := used()
	m.Forget("flights")
	n, err := testutil.GatherAndCount(m.Registry(), "kafka_server_brokertopicmetrics_messagesin_total")
	if err != nil || n != 1 {
		t.Fatalf("%d counters left, want that of all topics (%v)", n, err)
	}
}

func TestHTTP(t *testing.T) {
	var unwell error
	h := Handler(used(), func() error { return unwell })
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	if w := get("/metrics"); w.Code != 200 || !strings.Contains(w.Body.String(), "klamm_log_flush_duration_seconds") {
		t.Errorf("/metrics: %d", w.Code)
	}
	if w := get("/health/ready"); w.Code != 200 {
		t.Errorf("ready: %d", w.Code)
	}
	unwell = errors.New("the log folder is read-only")
	if w := get("/health/ready"); w.Code != 503 || !strings.Contains(w.Body.String(), "read-only") {
		t.Errorf("unready: %d %s", w.Code, w.Body)
	}
	if w := get("/health"); w.Code != 200 {
		t.Errorf("alive: %d", w.Code)
	}
}
