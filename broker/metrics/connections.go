package metrics

import "github.com/prometheus/client_golang/prometheus"

// listenerVecs are the JMX exporter's names for what happens to connections.
type listenerVecs struct {
	open           *prometheus.GaugeVec
	opened, closed *prometheus.CounterVec
	expired        prometheus.Gauge // of all listeners
}

func newListenerVecs() listenerVecs {
	label := []string{"listener"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, label)
	}
	return listenerVecs{
		open:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kafka_server_socket_server_metrics_connection_count", Help: "Connections that are open, by listener."}, label),
		opened:  counter("kafka_server_socket_server_metrics_connection_creation_total", "Connections accepted, by listener."),
		closed:  counter("kafka_server_socket_server_metrics_connection_close_total", "Connections that ended, by listener."),
		expired: prometheus.NewGauge(prometheus.GaugeOpts{Name: "kafka_network_socketserver_expiredconnectionskilledcount", Help: "Connections closed because they were silent for connections.max.idle.ms."}),
	}
}

// Listener is what one listener tells. It is safe for concurrent use.
type Listener struct {
	*Metrics
	open           prometheus.Gauge
	opened, closed prometheus.Counter
}

// Listener returns what the listener of that name tells.
func (m *Metrics) Listener(name string) *Listener {
	v := &m.listeners
	return &Listener{m, v.open.WithLabelValues(name), v.opened.WithLabelValues(name), v.closed.WithLabelValues(name)}
}

// ConnectionOpened notes a client's connection.
func (l *Listener) ConnectionOpened() {
	l.connections.Inc()
	l.connected.Inc()
	l.open.Inc()
	l.opened.Inc()
}

// ConnectionClosed notes its end, and why.
func (l *Listener) ConnectionClosed(reason string) {
	l.connections.Dec()
	l.rejected.WithLabelValues(reason).Inc()
	l.open.Dec()
	l.closed.Inc()
	if reason == "idle" {
		l.listeners.expired.Inc()
	}
}

// ConnectionRefused notes one that was closed before it was served.
func (l *Listener) ConnectionRefused(reason string) { l.rejected.WithLabelValues(reason).Inc() }
