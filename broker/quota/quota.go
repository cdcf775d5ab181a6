// Package quota decides how long a client is to wait that uses more than its share,
// by the rules of Kafka's ClientQuotaManager: of the quotas that are set the most
// particular one counts, all connections that it counts for share one rate, and who
// exceeds it waits until the rate over the last windows is what it may be.
//
// [Limits] says which quota is whose; it never changes. [Clients] holds the rates; it
// is safe for concurrent use, and its lock is held for a few sums only. Time is
// handed in, nothing here waits, and there are no goroutines.
package quota

import (
	"time"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// Kind is what a quota bounds.
type Kind uint8

// The kinds of quotas.
const (
	Produce            Kind = iota // bytes of produce requests a second
	Fetch                          // bytes of answers to fetches a second
	Request                        // percent of one thread's time
	ControllerMutation             // partitions created and deleted a second
	ConnectionRate                 // connections of an address a second
	kinds
)

// keys are the names that clients set quotas by.
var keys = [kinds]string{
	Produce: "producer_byte_rate", Fetch: "consumer_byte_rate", Request: "request_percentage",
	ControllerMutation: "controller_mutation_rate", ConnectionRate: "connection_creation_rate",
}

// names are what Kafka's metrics call the kinds.
var names = [kinds]string{Produce: "Produce", Fetch: "Fetch", Request: "Request", ControllerMutation: "ControllerMutation", ConnectionRate: "Connection"}

// String is what Kafka's metrics call the kind.
func (k Kind) String() string { return names[k] }

// Key is the name that clients set the quota by.
func (k Kind) Key() string { return keys[k] }

// Holder is who shares a quota: a user, a client id of whichever user, or a client
// id of one user. Those of a default have their own each.
type Holder struct{ User, ClientID string }

// Limits says who may use how much. The nil Limits bounds nothing.
type Limits struct {
	clients [kinds]map[metadata.QuotaEntity]float64
}

// NewLimits takes the quotas of an image; nil where there are none.
func NewLimits(img *metadata.Image) *Limits {
	var l *Limits
	for entity, set := range img.Quotas() {
		for kind, key := range keys {
			value, is := set[key]
			if !is {
				continue
			}
			if l == nil {
				l = &Limits{}
			}
			if l.clients[kind] == nil {
				l.clients[kind] = map[metadata.QuotaEntity]float64{}
			}
			l.clients[kind][entity] = value
		}
	}
	return l
}

// Bounds reports whether anybody has a quota of that kind.
func (l *Limits) Bounds(kind Kind) bool { return l != nil && len(l.clients[kind]) > 0 }

// Of returns the quota that counts for a client, and with whom it shares it. The order
// is Kafka's: a user's comes before a client id's, a named one before the default.
func (l *Limits) Of(kind Kind, user, clientID string) (who Holder, limit float64, bounded bool) {
	if !l.Bounds(kind) {
		return Holder{}, 0, false
	}
	named, anyUser := metadata.NamedQuota(user), metadata.DefaultQuota()
	client, anyClient := metadata.NamedQuota(clientID), metadata.DefaultQuota()
	if user == "" { // an empty name would be the default's
		named = metadata.QuotaName{}
	}
	if clientID == "" {
		client = metadata.QuotaName{}
	}
	both := Holder{User: user, ClientID: clientID}
	for _, rule := range [...]struct {
		entity metadata.QuotaEntity
		who    Holder
	}{
		{metadata.QuotaEntity{User: named, ClientID: client}, both},
		{metadata.QuotaEntity{User: named, ClientID: anyClient}, both},
		{metadata.QuotaEntity{User: named}, Holder{User: user}},
		{metadata.QuotaEntity{User: anyUser, ClientID: client}, both},
		{metadata.QuotaEntity{User: anyUser, ClientID: anyClient}, both},
		{metadata.QuotaEntity{User: anyUser}, Holder{User: user}},
		{metadata.QuotaEntity{ClientID: client}, Holder{ClientID: clientID}},
		{metadata.QuotaEntity{ClientID: anyClient}, Holder{ClientID: clientID}},
	} {
		if limit, bounded = l.clients[kind][rule.entity]; bounded {
			return rule.who, limit, true
		}
	}
	return Holder{}, 0, false
}

// OfAddress returns how many connections a second an address may make.
func (l *Limits) OfAddress(ip string) (limit float64, bounded bool) {
	if !l.Bounds(ConnectionRate) {
		return 0, false
	}
	if limit, bounded = l.clients[ConnectionRate][metadata.QuotaEntity{IP: metadata.NamedQuota(ip)}]; bounded {
		return limit, true
	}
	limit, bounded = l.clients[ConnectionRate][metadata.QuotaEntity{IP: metadata.DefaultQuota()}]
	return limit, bounded
}

// Windows is over how long rates are measured: quota.window.num windows of
// quota.window.size.seconds each, at least one of at least a second.
type Windows struct {
	Num  int
	Size time.Duration
}

// span is how long a use is remembered.
func (w Windows) span() time.Duration { return time.Duration(w.Num) * w.Size }
