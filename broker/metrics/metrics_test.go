package metrics

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

type fixedState struct{}

func (fixedState) Broker() Broker {
	return Broker{ID: 1, Address: "127.0.0.1:9092", Topics: 1, ActiveController: true, Transactions: map[string]int{"Ongoing": 2}, Undelivered: 1, LateTransactions: 1, ProducerIDs: 5, Groups: map[GroupKind]int{{"classic", "Stable"}: 2, {"consumer", "Reconciling"}: 1}}
}

func (fixedState) Partitions() []Partition {
	return []Partition{
		{Topic: "flights", Partition: 0, LogStart: 5, End: 90, LogEnd: 100, Size: 4096, Segments: 2, Leader: 1, Preferred: 1, Replicas: 1, InSync: 1, MinInSync: 1},
		{Topic: "flights", Partition: 1, Leader: 1, Preferred: 2, Replicas: 2, InSync: 1, MinInSync: 2},
	}
}

func (fixedState) Groups() []Group {
	return []Group{{Name: "g", Members: 3, Offsets: []GroupOffset{
		{Topic: "flights", Partition: 0, Offset: 70, Lag: 20},
		{Topic: "flights", Partition: 1, Offset: 4, Lag: 0},
	}}}
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
	m.Answered("Produce", 9, 3*time.Millisecond)
	m.Flushed(time.Millisecond)
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
		}
	}
	if _, ok := got["klamm_compaction_progress_ratio|partition=0|topic=planes"]; ok {
		t.Error("a log that is not being compacted has a progress")
	}
	for name, want := range map[string]float64{
		"kafka_server_replicamanager_underreplicatedpartitions":                    1,
		"kafka_server_replicamanager_underminisrpartitioncount":                    1,
		"kafka_server_replicamanager_partitioncount":                               2,
		"kafka_controller_kafkacontroller_activecontrollercount":                   1,
		"kafka_controller_kafkacontroller_offlinepartitionscount":                  0,
		"kafka_controller_kafkacontroller_preferredreplicaimbalancecount":          1,
		"kafka_server_brokertopicmetrics_messagesin_total|topic=flights":           600,
		"kafka_server_brokertopicmetrics_bytesin_total|topic=flights":              65_000,
		"kafka_server_brokertopicmetrics_bytesout_total|topic=flights":             1000,
		"kafka_server_brokertopicmetrics_totalproducerequests_total|topic=flights": 2,
		"kafka_server_brokertopicmetrics_failedfetchrequests_total|topic=flights":  1,
		"kafka_network_requestmetrics_requests_total|request=Produce|version=9":    1,
		"kafka_log_log_size|partition=0|topic=flights":                             4096,
		"kafka_coordinator_group_groupmetadatamanager_numgroups":                   3,
		"klamm_groups|state=Reconciling|type=consumer":                             1,
		"kafka_server_replicamanager_partitionswithlatetransactionscount":          1,
		"klamm_transactional_ids|state=Ongoing":                                    2,
		"kafka_brokers":                                                            1,
		"kafka_topic_partitions|topic=flights":                                     2,
		"kafka_topic_partition_current_offset|partition=0|topic=flights":           90,
		"kafka_topic_partition_oldest_offset|partition=0|topic=flights":            5,
		"kafka_consumergroup_lag|consumergroup=g|partition=0|topic=flights":        20,
		"kafka_consumergroup_lag_sum|consumergroup=g|topic=flights":                20,
		"kafka_consumergroup_current_offset_sum|consumergroup=g|topic=flights":     74,
		"kafka_consumergroup_members|consumergroup=g":                              3,
		"klamm_build_info|version=1.2.3":                                           1,
		"kafka_log_logcleaner_cleaner_recopy_percent":                              40,
		"kafka_log_logcleaner_max_buffer_utilization_percent":                      7,
		"kafka_log_logcleanermanager_max_dirty_percent":                            25,
		"kafka_log_logcleanermanager_time_since_last_run_ms":                       1500,

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

// TestLint runs the checks of "promtool check metrics".
func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(used().Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "kafka_log_logcleanermanager_") { // others chose these
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
	if err != nil || n != 0 {
		t.Fatalf("%d counters left (%v)", n, err)
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
