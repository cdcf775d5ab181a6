package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm-io/klamm/broker/listener"
)

// The JMX exporter's names for how long requests take, in milliseconds.
var (
	timesTotal  = desc("kafka_network_requestmetrics_totaltimems", "Milliseconds from a request's last byte read to its answer handed to the socket, by API.", "request")
	timesQueue  = desc("kafka_network_requestmetrics_requestqueuetimems", "Milliseconds that a request waited for those before it on its connection, by API.", "request")
	timesLocal  = desc("kafka_network_requestmetrics_localtimems", "Milliseconds that a request was worked on, by API.", "request")
	timesRemote = desc("kafka_network_requestmetrics_remotetimems", "Milliseconds that a request waited for others: a flush, records to come, members of a group; by API.", "request")
	timesOrder  = desc("kafka_network_requestmetrics_responsequeuetimems", "Milliseconds that an answer waited for those before it on its connection, by API.", "request")
	timesSend   = desc("kafka_network_requestmetrics_responsesendtimems", "Milliseconds until the socket had taken an answer, by API.", "request")
	flushTimes  = desc("kafka_log_logflushstats_logflushrateandtimems", "Milliseconds that one flush of a log to disk takes.")
)

// requestKey is a name that requests are counted under, and their version.
type requestKey struct {
	name    string
	version int16
}

// requests counts those of one version under one name.
type requests struct {
	count prometheus.Counter
	times *requestTimes
}

// requestTimes are those of all versions under one name.
type requestTimes struct{ total, queue, local, remote, order, send *durations }

// Answered notes a request that was answered, under the name of its API, and of
// its role where it has one.
func (m *Metrics) Answered(s listener.Served) {
	m.requestSeconds.WithLabelValues(s.API).Observe(s.Times.Total().Seconds())
	m.requestsOf(requestKey{s.API, s.Version}).answered(s.Times)
	if s.Role != "" {
		m.requestsOf(requestKey{s.Role, s.Version}).answered(s.Times)
	}
}

func (m *Metrics) requestsOf(key requestKey) *requests {
	if r, ok := m.requests.Load(key); ok {
		return r.(*requests)
	}
	times, ok := m.times.Load(key.name)
	if !ok {
		times, _ = m.times.LoadOrStore(key.name, newRequestTimes())
	}
	r, _ := m.requests.LoadOrStore(key, &requests{times: times.(*requestTimes), count: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kafka_network_requestmetrics_requests_total", Help: "Requests answered, by API and version.",
		ConstLabels: prometheus.Labels{"request": key.name, "version": strconv.Itoa(int(key.version))},
	})})
	return r.(*requests)
}

func (r *requests) answered(took listener.Times) {
	r.count.Inc()
	r.times.total.observe(took.Total())
	r.times.queue.observe(took.Turn)
	r.times.local.observe(took.Local)
	r.times.remote.observe(took.Remote)
	r.times.order.observe(took.Order)
	r.times.send.observe(took.Send)
}

func newRequestTimes() *requestTimes {
	return &requestTimes{newDurations(), newDurations(), newDurations(), newDurations(), newDurations(), newDurations()}
}

// requestsCollector hands out what is known by the requests that came.
type requestsCollector struct{ m *Metrics }

// Describe sends nothing: which requests come is not known beforehand.
func (c *requestsCollector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the requests' counts and times, and those of flushes.
func (c *requestsCollector) Collect(ch chan<- prometheus.Metric) {
	s, now := sender{ch}, time.Now()
	c.m.requests.Range(func(_, r any) bool {
		r.(*requests).count.Collect(ch)
		return true
	})
	c.m.times.Range(func(name, of any) bool {
		t := of.(*requestTimes)
		for d, times := range map[*prometheus.Desc]*durations{
			timesTotal: t.total, timesQueue: t.queue, timesLocal: t.local, timesRemote: t.remote, timesOrder: t.order, timesSend: t.send,
		} {
			s.summary(d, times, now, name.(string))
		}
		return true
	})
	s.summary(flushTimes, c.m.flushes, now)
}

func (s sender) summary(d *prometheus.Desc, of *durations, now time.Time, labels ...string) {
	count, sum, values := of.told(now)
	s.ch <- prometheus.MustNewConstSummary(d, count, sum, values, labels...)
}
