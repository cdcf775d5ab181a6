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
	listeners      listenerVecs
	rejected       *prometheus.CounterVec
	panics         prometheus.Counter
	damaged        prometheus.Counter

	flushes  *durations
	all      *traffic // of all topics, those that are gone too
	traffic  sync.Map // topic name -> *traffic
	requests sync.Map // requestKey -> *requests
	times    sync.Map // name of an API, or of a role -> *requestTimes
}

// New returns metrics that describe state when they are scraped.
func New(state State, version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), flushes: newDurations(), all: newTraffic(nil)}
	m.requestSeconds = prometheus.NewHistogramVec(nativeHistogram("klamm_request_duration_seconds",
		"Time from a request's last byte read to its answer handed to the socket."), []string{"api"})
	m.flushSeconds = prometheus.NewHistogram(nativeHistogram("klamm_log_flush_duration_seconds",
		"Time that one flush of a log to disk takes."))
	m.connections = prometheus.NewGauge(prometheus.GaugeOpts{Name: "klamm_connections", Help: "Client connections that are open."})
	m.connected = prometheus.NewCounter(prometheus.CounterOpts{Name: "klamm_connections_accepted_total", Help: "Client connections accepted."})
	m.listeners = newListenerVecs()
	m.rejected = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "klamm_connections_closed_total", Help: "Connections that the broker closed, by reason."}, []string{"reason"})
	m.panics = prometheus.NewCounter(prometheus.CounterOpts{Name: "klamm_handler_panics_total", Help: "Requests whose handler panicked; each closed its connection."})
	m.damaged = prometheus.NewCounter(prometheus.CounterOpts{Name: "klamm_log_damage_found_total", Help: "Stretches of stored records whose checksum was found wrong."})
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "klamm_build_info", Help: "Always 1; the version is in the label.", ConstLabels: prometheus.Labels{"version": version}})
	info.Set(1)
	m.registry.MustRegister(m.requestSeconds, m.flushSeconds, m.connections, m.connected, m.rejected, m.panics, m.damaged, info,
		m.listeners.open, m.listeners.opened, m.listeners.closed, m.listeners.expired,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&trafficCollector{m}, &requestsCollector{m}, &stateCollector{state})
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
func (m *Metrics) Flushed(took time.Duration) {
	m.flushSeconds.Observe(took.Seconds())
	m.flushes.observe(took)
}
