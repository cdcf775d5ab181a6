package sasl

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// reauthPause is how long a client has to wait from one time that it authenticates
// again to the next: half of what Kafka asks for, as clients that wait a second by their
// own clock come early by this one.
const reauthPause = time.Second / 2

// state is how far a conversation is.
type state int8

const (
	strange state = iota // a handshake is to come
	proving              // tokens are to come
	proved
	failed
)

// Conversation is how one connection authenticates, and does so again.
type Conversation struct {
	server   *Server
	state    state
	bare     bool // tokens come without headers: the handshake was one of version 0
	again    bool // the client was known before
	offer    Offer
	exchange Exchange
	wrong    error // why the handshake's mechanism cannot come to a good end
	proof    Proof
	expires  time.Time // when the session ends, zero for never
	resumed  time.Time // when the client last began to authenticate again
	kept     bool
}

// Admit says why a request cannot be served now. The conversation has failed then,
// and the connection should end.
func (c *Conversation) Admit(key int16, now time.Time) error {
	switch {
	case c.state == proved && (kmsg.Key(key) == kmsg.SASLHandshake || c.expires.IsZero() || c.kept || !now.After(c.expires)):
		return nil
	case c.state == proved:
		c.state = failed
		return errors.New("the session has ended, and the client did not authenticate again")
	case c.state == strange && (kmsg.Key(key) == kmsg.ApiVersions || kmsg.Key(key) == kmsg.SASLHandshake):
		return nil
	case c.state == proving && kmsg.Key(key) == kmsg.SASLAuthenticate && !c.bare:
		return nil
	}
	during := "authentication"
	if c.state == strange {
		during = "handshake"
	}
	c.state = failed
	return fmt.Errorf("unexpected request %s during the SASL %s: %w", protocol.NameOf(key), during, kerr.IllegalSaslState)
}

// Handshake takes the client's choice of a mechanism. After ILLEGAL_SASL_STATE all
// stays as it was; any other error ends the conversation.
func (c *Conversation) Handshake(version int16, mechanism string, now time.Time) error {
	if c.state == proved && !c.mayResume(now) {
		return kerr.IllegalSaslState
	}
	offer, found := c.server.offer(mechanism)
	if !found {
		c.state = failed
		return fmt.Errorf("the client asks for the SASL mechanism %q, and %v are offered: %w", mechanism, c.server, kerr.UnsupportedSaslMechanism)
	}
	c.again = c.state == proved
	c.wrong = nil
	if c.again {
		c.resumed = now
		if offer.Name() != c.offer.Name() {
			c.wrong = RefusalError(fmt.Sprintf("SASL mechanism '%s' requested by client is not supported for re-authentication of mechanism '%s'", offer.Name(), c.offer.Name()))
		}
	}
	c.offer, c.exchange, c.state = offer, offer.Begin(), proving
	c.bare = version == 0 && !c.again
	return nil
}

// mayResume reports whether a known client may authenticate again: only a session
// that ends can be begun anew.
func (c *Conversation) mayResume(now time.Time) bool {
	return !c.expires.IsZero() && now.Sub(c.resumed) >= reauthPause
}

// Authenticate takes a token. It returns what the client is told, and with the last
// one for how long the session will be, 0 for without an end. An error ends the
// conversation, but for ILLEGAL_SASL_STATE; after [ErrNotKnown] the client hears
// nothing, lest it takes its password for wrong.
func (c *Conversation) Authenticate(token []byte, now time.Time) (reply []byte, session time.Duration, err error) {
	if c.state != proving {
		return nil, 0, fmt.Errorf("SaslAuthenticate request received after successful authentication: %w", kerr.IllegalSaslState)
	}
	reply, done, err := c.step(token, now)
	if err != nil {
		c.state = failed
		return nil, 0, c.told(err)
	}
	if done == nil {
		return reply, 0, nil
	}
	c.state, c.exchange, c.proof = proved, nil, *done
	return reply, c.limit(now), nil
}

func (c *Conversation) step(token []byte, now time.Time) (reply []byte, done *Proof, err error) {
	if c.wrong != nil {
		return nil, nil, c.wrong
	}
	reply, done, err = c.exchange.Step(token, now)
	if err == nil && done != nil && c.again && done.Principal != c.proof.Principal {
		return nil, nil, RefusalError(fmt.Sprintf("Cannot change principals during re-authentication from %s: %s", c.proof.Principal, done.Principal))
	}
	return reply, done, err
}

// told is an error in the words that the client may hear, with the code.
func (c *Conversation) told(err error) error {
	var refusal RefusalError
	var known *failure
	if errors.Is(err, ErrNotKnown) || errors.As(err, &known) {
		return err
	}
	if errors.As(err, &refusal) {
		return fmt.Errorf("%w: %w", refusal, kerr.SaslAuthenticationFailed)
	}
	during := "authentication"
	if c.again {
		during = "re-authentication"
	}
	return &failure{
		told: fmt.Sprintf("Authentication failed during %s due to invalid credentials with SASL mechanism %s", during, c.offer.Name()),
		why:  err,
	}
}

// failure is an error of which the client hears less than the log.
type failure struct {
	told string
	why  error
}

// Error is what the client may hear, with the name of the code.
func (f *failure) Error() string { return f.told + ": " + kerr.SaslAuthenticationFailed.Error() }

// Unwrap is the code.
func (f *failure) Unwrap() error { return kerr.SaslAuthenticationFailed }

// Explain is an error of [Conversation.Authenticate] as the log has it.
func Explain(err error) error {
	var f *failure
	if errors.As(err, &f) {
		return fmt.Errorf("%s (%w)", f.told, f.why)
	}
	return err
}

// limit sets when the session ends, and returns in how long.
func (c *Conversation) limit(now time.Time) time.Duration {
	session, ends := c.offer.MaxSession, c.offer.MaxSession > 0
	if until := c.proof.Until; !until.IsZero() {
		left := max(until.Sub(now), 0)
		if !ends || left < session {
			session = left
		}
		ends = true
	}
	c.expires = time.Time{}
	if ends {
		c.expires = now.Add(session)
	}
	return session
}

// Known reports whether the client is known, and does not authenticate anew.
func (c *Conversation) Known() bool { return c.state == proved }

// Principal is who the client is, once it is known.
func (c *Conversation) Principal() security.Principal { return c.proof.Principal }

// Bare reports whether the next frame is a token without a request's header.
func (c *Conversation) Bare() bool { return c.state == proving && c.bare }

// Keep lets the session last as long as the connection. It is for the cluster's own
// nodes, whose connections prove more than a password.
func (c *Conversation) Keep() { c.kept = true }

// Mechanisms are those that are offered.
func (c *Conversation) Mechanisms() []string { return c.server.Mechanisms() }

// MaxReceive bounds a request of a client that is not known.
func (c *Conversation) MaxReceive() int { return c.server.config.MaxReceive }

// FailureDelay is how long a client that fails waits to hear of it.
func (c *Conversation) FailureDelay() time.Duration { return c.server.config.FailureDelay }
