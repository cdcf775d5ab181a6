// Package metrics is what monitors read: Klamm's own metrics under the prefix
// klamm_, with native histograms, and the same facts under the names that
// Kafka's dashboards and alerts already use: the JMX exporter's (kafka_server_…,
// kafka_network_…) and kafka_exporter's (kafka_topic_…, kafka_consumergroup_…).
//
// What happens is counted as it happens, by the methods of [Metrics], which are
// safe for concurrent use and take no lock once a topic has been seen. What is
// (sizes, offsets, lags) is asked of a [State] when somebody scrapes. The
// package starts no goroutines.
package metrics

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/klamm-io/klamm/protocol"
)

// Metrics counts what the broker does.
type Metrics struct {
	registry *prometheus.Registry

	requestSeconds *prometheus.HistogramVec
	flushSeconds   prometheus.Histogram
	connections    prometheus.Gauge
	connected      prometheus.Counter
	rejected       *prometheus.CounterVec
	panics         prometheus.Counter
	damaged        prometheus.Counter

	traffic  sync.Map // topic name -> *Traffic
	requests sync.Map // apiVersion -> *requestCounters
}

// Traffic counts what one topic takes and gives.
type Traffic struct {
	recordsIn, bytesIn, bytesOut  prometheus.Counter
	produces, fetches             prometheus.Counter
	failedProduces, failedFetches prometheus.Counter
	registered                    []prometheus.Collector
}

type apiVersion struct {
	api     string
	version int16
}

type requestCounters struct {
	seconds prometheus.Observer
	count   prometheus.Counter
}

// New returns metrics that describe state when they are scraped.
func New(state State, version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.requestSeconds = prometheus.NewHistogramVec(nativeHistogram("klamm_request_duration_seconds",
		"Time from a request's last byte read to its answer handed to the socket."), []string{"api"})
	m.flushSeconds = prometheus.NewHistogram(nativeHistogram("klamm_log_flush_duration_seconds",
		"Time that one flush of a log to disk takes."))
	m.connections = prometheus.NewGauge(prometheus.GaugeOpts{Name: "klamm_connections", Help: "Client connections that are open."})
	m.connected = prometheus.NewCounter(prometheus.CounterOpts{Name: "klamm_connections_accepted_total", Help: "Client connections accepted."})
	m.rejected = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "klamm_connections_closed_total", Help: "Connections that the broker closed, by reason."}, []string{"reason"})
	m.panics = prometheus.NewCounter(prometheus.CounterOpts{Name: "klamm_handler_panics_total", Help: "Requests whose handler panicked; each closed its connection."})
	m.damaged = prometheus.NewCounter(prometheus.CounterOpts{Name: "klamm_log_damage_found_total", Help: "Stretches of stored records whose checksum was found wrong."})
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "klamm_build_info", Help: "Always 1; the version is in the label.", ConstLabels: prometheus.Labels{"version": version}})
	info.Set(1)
	m.registry.MustRegister(m.requestSeconds, m.flushSeconds, m.connections, m.connected, m.rejected, m.panics, m.damaged, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&trafficCollector{m}, &stateCollector{state})
	return m
}

// Registry is where further metrics are registered and all are gathered from.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

func nativeHistogram(name, help string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help,
		Buckets:                         []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}
}

// Answered notes a request that was answered.
func (m *Metrics) Answered(api string, version int16, took time.Duration) {
	key := apiVersion{api, version}
	c, ok := m.requests.Load(key)
	if !ok {
		c, _ = m.requests.LoadOrStore(key, &requestCounters{
			seconds: m.requestSeconds.WithLabelValues(api),
			count: prometheus.NewCounter(prometheus.CounterOpts{
				Name: "kafka_network_requestmetrics_requests_total", Help: "Requests answered, by API and version.",
				ConstLabels: prometheus.Labels{"request": api, "version": strconv.Itoa(int(version))},
			}),
		})
	}
	c.(*requestCounters).seconds.Observe(took.Seconds())
	c.(*requestCounters).count.Inc()
}

// Topic returns the counters of one topic, which the caller may keep.
func (m *Metrics) Topic(name string) *Traffic {
	if t, ok := m.traffic.Load(name); ok {
		return t.(*Traffic)
	}
	t, _ := m.traffic.LoadOrStore(name, newTraffic(name))
	return t.(*Traffic)
}

// Forget drops the counters of a topic that was deleted.
func (m *Metrics) Forget(topic string) { m.traffic.Delete(topic) }

func newTraffic(topic string) *Traffic {
	t := &Traffic{}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "kafka_server_brokertopicmetrics_" + name, Help: help, ConstLabels: prometheus.Labels{"topic": topic}})
		t.registered = append(t.registered, c)
		return c
	}
	t.recordsIn = counter("messagesin_total", "Records appended, by topic.")
	t.bytesIn = counter("bytesin_total", "Bytes of record batches appended, by topic.")
	t.bytesOut = counter("bytesout_total", "Bytes of record batches answered to fetches, by topic.")
	t.produces = counter("totalproducerequests_total", "Batches that producers sent, by topic.")
	t.fetches = counter("totalfetchrequests_total", "Partitions that fetches were answered for, by topic.")
	t.failedProduces = counter("failedproducerequests_total", "Batches that were refused, by topic.")
	t.failedFetches = counter("failedfetchrequests_total", "Partitions that fetches were refused, by topic.")
	return t
}

// Produced notes a batch of the given records and bytes that was appended.
func (m *Metrics) Produced(topic string, records, bytes int) {
	t := m.Topic(topic)
	t.produces.Inc()
	t.recordsIn.Add(float64(records))
	t.bytesIn.Add(float64(bytes))
}

// ProduceFailed notes a batch that was refused.
func (m *Metrics) ProduceFailed(topic string) {
	t := m.Topic(topic)
	t.produces.Inc()
	t.failedProduces.Inc()
}

// Fetched notes a partition that a fetch was answered for with bytes of records.
func (m *Metrics) Fetched(topic string, bytes int) {
	t := m.Topic(topic)
	t.fetches.Inc()
	t.bytesOut.Add(float64(bytes))
}

// FetchFailed notes a partition that a fetch was refused.
func (m *Metrics) FetchFailed(topic string) {
	t := m.Topic(topic)
	t.fetches.Inc()
	t.failedFetches.Inc()
}

// ConnectionOpened, ConnectionClosed, ConnectionRefused, Answered and Panicked
// are what a listener tells.

// ConnectionOpened notes a client's connection.
func (m *Metrics) ConnectionOpened() {
	m.connections.Inc()
	m.connected.Inc()
}

// ConnectionClosed notes its end, and why.
func (m *Metrics) ConnectionClosed(reason string) {
	m.connections.Dec()
	m.rejected.WithLabelValues(reason).Inc()
}

// ConnectionRefused notes one that was closed before it was served.
func (m *Metrics) ConnectionRefused(reason string) { m.rejected.WithLabelValues(reason).Inc() }

// Panicked notes a request whose handler panicked.
func (m *Metrics) Panicked() { m.panics.Inc() }

// Damaged notes a stretch of stored records that was found damaged.
func (m *Metrics) Damaged(protocol.TopicPartition) { m.damaged.Inc() }

// RequestMemory lets used be asked how much memory the requests in progress hold.
func (m *Metrics) RequestMemory(used func() int64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "klamm_request_memory_bytes", Help: "Memory that the bodies of requests in progress hold."},
		func() float64 { return float64(used()) }))
}

// Flushed notes one flush of a log.
func (m *Metrics) Flushed(took time.Duration) { m.flushSeconds.Observe(took.Seconds()) }

// trafficCollector hands out the counters that come and go with their topics.
type trafficCollector struct{ m *Metrics }

// Describe sends nothing: which topics there are is not known beforehand.
func (c *trafficCollector) Describe(chan<- *prometheus.Desc) {}

// Collect sends every topic's and every request's counters.
func (c *trafficCollector) Collect(ch chan<- prometheus.Metric) {
	c.m.traffic.Range(func(_, t any) bool {
		for _, counter := range t.(*Traffic).registered {
			counter.Collect(ch)
		}
		return true
	})
	c.m.requests.Range(func(_, r any) bool {
		r.(*requestCounters).count.Collect(ch)
		return true
	})
}
