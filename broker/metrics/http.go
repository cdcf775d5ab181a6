package metrics

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Health says how the broker is; nil means well. It is asked at each request.
type Health func() error

// Handler serves
//
//	/metrics       everything, in the format the scraper asks for
//	/health        200 while the process works at all, as liveness probes want it
//	/health/ready  200 while clients are served, else 503 and why
func Handler(m *Metrics, ready Health) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: m.registry}))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive", "") })
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			say(w, http.StatusServiceUnavailable, "unready", err.Error())
			return
		}
		say(w, http.StatusOK, "ready", "")
	})
	return mux
}

func say(w http.ResponseWriter, code int, status, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(struct { // a client that went away needs no answer
		Status string `json:"status"`
		Why    string `json:"why,omitempty"`
	}{status, why})
}
