package metrics

import "time"

// Quota is what a user, a client id, or a client id of a user, uses of what a quota bounds.
type Quota struct {
	Resource       string // Produce, Fetch, Request or ControllerMutation
	User, ClientID string // empty: whichever
	PerSecond      float64
	Throttle       time.Duration // the mean of the waits that it was told of late
}

// What is measured in a second has a name by its kind, as in Kafka.
var (
	quotaThrottle = desc("kafka_server_quota_throttle_time", "Milliseconds that who exceeded a quota of late was told to wait, in the mean.", quotaLabels...)
	quotaRates    = map[string]string{"Produce": "byte_rate", "Fetch": "byte_rate", "Request": "request_time", "ControllerMutation": "mutation_rate"}
	quotaLabels   = []string{"resource", "user", "clientId"}
	quotaUse      = map[string]string{
		"byte_rate":     "Bytes a second that who has a quota sends in produce requests, or is answered in fetches.",
		"request_time":  "Percent of one processor's time that requests of who has a quota take.",
		"mutation_rate": "Partitions a second that who has a quota creates and deletes.",
	}
)

func (s sender) quota(q Quota) {
	s.gauge(quotaThrottle, float64(q.Throttle.Milliseconds()), q.Resource, q.User, q.ClientID)
	rate := quotaRates[q.Resource]
	s.gauge(desc("kafka_server_quota_"+rate, quotaUse[rate], quotaLabels...), q.PerSecond, q.Resource, q.User, q.ClientID)
}
