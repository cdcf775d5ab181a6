package broker

import (
	"fmt"
	"time"

	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/oauth"
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
	if hash, is := sasl.ParseMechanism(m.Name); is {
		return sasl.NewScram(hash, b.credentials(hash))
	}
	if m.OAuth != nil {
		return b.oauthBearer(m.OAuth)
	}
	return sasl.NewPlain(m.Users)
}

// oauthBearer verifies tokens by keys that are read while the broker runs.
func (b *Broker) oauthBearer(o *config.OAuth) sasl.Mechanism {
	keys := oauth.NewKeys(o.Keys, nil, b.logger)
	b.tokenKeys = append(b.tokenKeys, keys)
	verifier := oauth.NewVerifier(o.Tokens, keys)
	return sasl.NewOAuthBearer(func(token string, now time.Time) (string, time.Time, error) {
		if !keys.Known() {
			return "", time.Time{}, sasl.ErrNotKnown
		}
		return verifier.Verify(token, now)
	})
}

// credentials finds users' passwords in the cluster's metadata, and before there is
// any, among those with which it begins: nodes that agree on the first of it have to
// know each other.
func (b *Broker) credentials(mechanism security.ScramMechanism) sasl.Lookup {
	return func(user string) (*security.ScramCredential, error) {
		u, img := security.ScramUser{Name: user, Mechanism: mechanism}, b.view.Image()
		if c, found := img.ScramCredential(u); found {
			return c, nil
		}
		if img.Feature(controller.KlammVersion) > 0 {
			return nil, nil
		}
		for i := range b.first {
			if b.first[i].ScramUser == u {
				return &b.first[i], nil
			}
		}
		return nil, sasl.ErrNotKnown
	}
}

// withLogin is dial, and at a listener where all have to, it says who this node is.
func (b *Broker) withLogin(name string, dial transport.Dial) transport.Dial {
	login := b.config.SASL[name].Login
	if login == nil {
		return dial
	}
	return sasl.Dialer(dial, b.clientID(), func() (sasl.Client, error) {
		if hash, is := sasl.ParseMechanism(login.Mechanism); is {
			return sasl.NewScramClient(hash, login.User, login.Password)
		}
		return sasl.NewPlainClient(login.User, login.Password), nil
	})
}

// clientID is by which metrics and logs of other nodes know this one.
func (b *Broker) clientID() string { return fmt.Sprintf("klamm-node-%d", b.config.NodeID) }
