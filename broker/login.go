package broker

import (
	"fmt"

	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/security/sasl"
	"github.com/klamm-io/klamm/security/transport"
)

// saslOf is how the clients of a listener say who they are, nil for one where they
// need not.
func (b *Broker) saslOf(name string) *sasl.Server {
	s, asks := b.config.SASL[name]
	if !asks {
		return nil
	}
	c := sasl.Config{MaxReceive: s.MaxReceive, FailureDelay: b.config.FailedAuthenticationDelay}
	for _, m := range s.Mechanisms {
		c.Offers = append(c.Offers, sasl.Offer{Mechanism: b.mechanism(m), MaxSession: m.MaxReauth})
	}
	return sasl.NewServer(c)
}

func (b *Broker) mechanism(m config.Mechanism) sasl.Mechanism {
	return sasl.NewPlain(m.Users)
}

// withLogin is dial, and at a listener where all have to, it says who this node is.
func (b *Broker) withLogin(name string, dial transport.Dial) transport.Dial {
	login := b.config.SASL[name].Login
	if login == nil {
		return dial
	}
	return sasl.Dialer(dial, b.clientID(), func() sasl.Client { return sasl.NewPlainClient(login.User, login.Password) })
}

// clientID is by which metrics and logs of other nodes know this one.
func (b *Broker) clientID() string { return fmt.Sprintf("klamm-node-%d", b.config.NodeID) }
