package broker

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/peer"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/security/transport"
)

// openCertificates reads by what the listeners of protocol SSL are secured, and what
// this node shows and trusts where it connects to others.
func (b *Broker) openCertificates() error {
	b.secured = map[string]*transport.Source{}
	for name, settings := range b.config.TLS {
		source, err := transport.Open(name, settings, b.logger)
		if err != nil {
			return fmt.Errorf("secure the listener %s: %w", name, err)
		}
		b.secured[name] = source
	}
	return nil
}

// tlsOf is by what a listener's connections are secured, nil for one without TLS.
func (b *Broker) tlsOf(name string) *listener.TLS {
	source := b.secured[name]
	if source == nil {
		return nil
	}
	return &listener.TLS{Config: source.Server(), Principal: source.Principal}
}

// protocolNumbers are Kafka's.
var protocolNumbers = map[string]int16{config.Plaintext: 0, config.SSL: 1, config.SASLPlaintext: 2, config.SASLSSL: 3}

// protocol is Kafka's number of what a listener speaks.
func (b *Broker) protocol(name string) int16 { return protocolNumbers[b.config.Protocol(name)] }

// dialer connects to listeners of that name, wherever they are, and says there who
// this node is.
func (b *Broker) dialer(name string) transport.Dial {
	var dial transport.Dial = (&net.Dialer{}).DialContext
	if source := b.secured[name]; source != nil {
		dial = source.Dialer(dial)
	}
	return b.withLogin(name, dial)
}

// dialLane connects to other nodes: to their controllers or to their brokers, as the
// lane says.
func (b *Broker) dialLane() func(ctx context.Context, lane peer.Lane, addr string) (net.Conn, error) {
	toBroker, toController := b.dialer(b.config.InterBrokerListener), b.dialer(b.config.ControllerListenerNames[0])
	if b.config.InterBrokerListener == "" {
		toBroker = b.dialAdvertised
	}
	return func(ctx context.Context, lane peer.Lane, addr string) (net.Conn, error) {
		switch lane {
		case peer.LaneQuorum, peer.LaneControl, isrLane, observeLane:
			return toController(ctx, "tcp", addr)
		}
		return toBroker(ctx, "tcp", addr)
	}
}

// dialAdvertised connects to a broker's listener where this node, a controller that is
// no broker, has none of that name: the broker says by what it speaks.
func (b *Broker) dialAdvertised(ctx context.Context, network, addr string) (net.Conn, error) {
	for other := range b.view.Image().Brokers() {
		for _, e := range other.Endpoints {
			if net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))) == addr && e.SecurityProtocol != 0 {
				return b.dialer(b.secretsFor(e.Listener))(ctx, network, addr)
			}
		}
	}
	return b.dialer("")(ctx, network, addr)
}

// secretsFor is the listener here whose keys are shown to brokers' listeners of that
// name, empty where this node has no keys.
func (b *Broker) secretsFor(listener string) string {
	for _, name := range []string{listener, b.config.ControllerListenerNames[0]} {
		if b.secured[name] != nil {
			return name
		}
	}
	return ""
}
