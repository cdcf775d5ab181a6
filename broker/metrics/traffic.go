package metrics

import "github.com/prometheus/client_golang/prometheus"

// traffic counts what one topic takes and gives, or all of them together.
type traffic struct {
	recordsIn, bytesIn, bytesOut  prometheus.Counter
	produces, fetches             prometheus.Counter
	failedProduces, failedFetches prometheus.Counter
	registered                    []prometheus.Collector
}

// newTraffic returns counters with the labels of a topic, or with none for all.
func newTraffic(labels prometheus.Labels) *traffic {
	t := &traffic{}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "kafka_server_brokertopicmetrics_" + name, Help: help + ", by topic; without one, of all.", ConstLabels: labels})
		t.registered = append(t.registered, c)
		return c
	}
	t.recordsIn = counter("messagesin_total", "Records appended")
	t.bytesIn = counter("bytesin_total", "Bytes of record batches appended")
	t.bytesOut = counter("bytesout_total", "Bytes of record batches answered to fetches")
	t.produces = counter("totalproducerequests_total", "Batches that producers sent")
	t.fetches = counter("totalfetchrequests_total", "Partitions that fetches were answered for")
	t.failedProduces = counter("failedproducerequests_total", "Batches that were refused")
	t.failedFetches = counter("failedfetchrequests_total", "Partitions that fetches were refused")
	return t
}

// topic returns the counters of one topic and those of all.
func (m *Metrics) topic(name string) [2]*traffic {
	t, ok := m.traffic.Load(name)
	if !ok {
		t, _ = m.traffic.LoadOrStore(name, newTraffic(prometheus.Labels{"topic": name}))
	}
	return [2]*traffic{t.(*traffic), m.all}
}

// Forget drops the counters of a topic that was deleted.
func (m *Metrics) Forget(topic string) { m.traffic.Delete(topic) }

// Produced notes a batch of the given records and bytes that was appended.
func (m *Metrics) Produced(topic string, records, bytes int) {
	for _, t := range m.topic(topic) {
		t.produces.Inc()
		t.recordsIn.Add(float64(records))
		t.bytesIn.Add(float64(bytes))
	}
}

// ProduceFailed notes a batch that was refused.
func (m *Metrics) ProduceFailed(topic string) {
	for _, t := range m.topic(topic) {
		t.produces.Inc()
		t.failedProduces.Inc()
	}
}

// Fetched notes a partition that a fetch was answered for with bytes of records.
func (m *Metrics) Fetched(topic string, bytes int) {
	for _, t := range m.topic(topic) {
		t.fetches.Inc()
		t.bytesOut.Add(float64(bytes))
	}
}

// FetchFailed notes a partition that a fetch was refused.
func (m *Metrics) FetchFailed(topic string) {
	for _, t := range m.topic(topic) {
		t.fetches.Inc()
		t.failedFetches.Inc()
	}
}

// trafficCollector hands out the counters that come and go with their topics.
type trafficCollector struct{ m *Metrics }

// Describe sends nothing: which topics there are is not known beforehand.
func (c *trafficCollector) Describe(chan<- *prometheus.Desc) {}

// Collect sends every topic's counters, and those of all.
func (c *trafficCollector) Collect(ch chan<- prometheus.Metric) {
	collect(c.m.all.registered, ch)
	c.m.traffic.Range(func(_, t any) bool {
		collect(t.(*traffic).registered, ch)
		return true
	})
}

func collect(all []prometheus.Collector, ch chan<- prometheus.Metric) {
	for _, c := range all {
		c.Collect(ch)
	}
}
