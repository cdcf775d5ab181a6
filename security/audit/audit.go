// Package audit keeps a log of who did what and who was refused, one JSON object of
// OCSF 1.3 (schema.ocsf.io) a line, in files that show whether a line was changed or is
// missing: each line bears the digest of the line before it, and its own.
//
// [Log.Record] never waits. What does not fit into its queue is counted, and a line says
// how many events are missing between its neighbours. [Log.Run] is the one goroutine
// that writes; it alone owns the files. [Verify] reads them.
//
// An event has no field that could hold a secret: what a request asks for is told by
// names of APIs, resources and keys, never by values.
package audit

import (
	"time"

	"github.com/klamm-io/klamm/security"
)

// Kind is what sort of thing happened.
type Kind int

// The kinds of events.
const (
	Authentication Kind = iota // somebody proved who he is, or did not
	Denial                     // somebody asked for what he has no right to
	Change                     // somebody changed something, or tried to
	Gap                        // events are missing here
)

// Event is one thing that happened.
type Event struct {
	Kind      Kind
	Time      time.Time
	Principal security.Principal // the zero value: not known
	Address   string             // from where, without the port
	Listener  string
	Protocol  string     // by what it was proved, as TLS; of an Authentication
	API       string     // that was asked for
	ClientID  string     // as the client calls itself
	Resources []Resource // that it is about, the first of them
	More      int        // resources that are not among them
	Reason    string     // why it came to nothing; empty: it did not
	Missing   int64      // events, of a Gap
}

// Resource is something that an event is about.
type Resource struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

// maxResources bounds the resources of one event, and maxText each text of it: both
// come from clients.
const (
	maxResources = 16
	maxText      = 512
)

// Add notes a resource.
func (e *Event) Add(kind, name string) {
	if len(e.Resources) == maxResources {
		e.More++
		return
	}
	e.Resources = append(e.Resources, Resource{kind, short(name)})
}

func short(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "…"
	}
	return s
}
