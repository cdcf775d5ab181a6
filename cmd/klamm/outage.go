package main

import (
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// outage tells the user when brokers do not answer while the client keeps
// trying, and when they are back: silence would look like work. So it does where
// a broker is not where the cluster says that it is. It says nothing before a
// first broker answered, for then the command fails and says so itself.
type outage struct {
	env *environment

	mu       sync.Mutex      // guards the fields below
	answered bool            // some broker did, once
	lost     map[string]bool // brokers that did not last time, by address
}

// OnBrokerConnect is called by the client after each attempt to connect.
func (o *outage) OnBrokerConnect(broker kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	address := net.JoinHostPort(broker.Host, itoa(broker.Port))
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		o.answered = true
		if o.lost[address] {
			delete(o.lost, address)
			o.env.note("klamm: broker %s answers again", address)
		}
	case o.answered && !o.lost[address]:
		if o.lost == nil {
			o.lost = map[string]bool{}
		}
		o.lost[address] = true
		o.env.note("klamm: broker %s does not answer: %s; trying again", address, reason(err, ""))
	}
}
