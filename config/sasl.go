package config

import (
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/oauth"
	"github.com/klamm-io/klamm/security/sasl"
	"github.com/klamm-io/klamm/security/transport"
)

// SASL is how clients authenticate at one listener.
type SASL struct {
	Mechanisms []Mechanism // none at a listener that this node only connects to
	MaxReceive int
	// Login is as whom this node connects to such listeners of others, nil where it does
	// not.
	Login *Login
}

// Mechanism is one way for clients to authenticate at a listener.
type Mechanism struct {
	Name      string
	MaxReauth time.Duration               // 0: once is enough
	Users     map[string]transport.Secret // of PLAIN: their passwords
	OAuth     *OAuth                      // of OAUTHBEARER
}

// OAuth is how the tokens of OAUTHBEARER are verified.
type OAuth struct {
	Keys   oauth.KeysConfig
	Tokens oauth.Config
}

// validatorClasses are Kafka's names for what verifies tokens here.
var validatorClasses = oneOf("org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler",
	"org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerValidatorCallbackHandler")

// Login is as whom a node connects to others.
type Login struct {
	Mechanism string
	User      string
	Password  transport.Secret
}

// mechanisms are those that are served, and the module of each.
var mechanisms = map[string]string{
	sasl.Plain:                    sasl.PlainModule,
	sasl.OAuthBearer:              sasl.OAuthBearerModule,
	security.ScramSHA256.String(): sasl.ScramModule,
	security.ScramSHA512.String(): sasl.ScramModule,
}

// ofListenerSASL is the key of SASL that stands after listener.name.NAME., or after a
// mechanism there, nil where there is none.
func ofListenerSASL(name string) *key {
	switch name {
	case "sasl.enabled.mechanisms", "sasl.server.max.receive.size", "connections.max.reauth.ms":
		return brokerKeyByName[name]
	}
	mechanism, rest, _ := strings.Cut(name, ".")
	if _, is := mechanisms[strings.ToUpper(mechanism)]; !is || mechanism != strings.ToLower(mechanism) {
		return nil
	}
	if rest == "sasl.jaas.config" || rest == "connections.max.reauth.ms" || strings.ToUpper(mechanism) == sasl.OAuthBearer && isOAuth(rest) {
		return brokerKeyByName[rest]
	}
	return nil
}

// isOAuth reports whether a key is one of how tokens are verified.
func isOAuth(key string) bool {
	return strings.HasPrefix(key, "sasl.oauthbearer.") || key == "sasl.server.callback.handler.class"
}

// jaasEntry is the form of sasl.jaas.config. What it has is secret, and stands in no
// error.
var jaasEntry = rule{"MODULE required NAME=VALUE …;", func(name, value string) error {
	if _, err := sasl.ParseEntry(value); err != nil {
		return fmt.Errorf("Invalid value for configuration %s: %w", name, err)
	}
	return nil
}}

// fillSASL reads how clients authenticate at a listener, if this node binds it.
func (b *Broker) fillSASL(listener string) error {
	s := SASL{MaxReceive: int(number(b.ofListener(listener, "sasl.server.max.receive.size")))}
	if has(b.bound, listener) {
		for _, name := range splitList(b.ofListener(listener, "sasl.enabled.mechanisms")) {
			m, err := b.mechanism(listener, name)
			if err != nil {
				return err
			}
			s.Mechanisms = append(s.Mechanisms, m)
		}
		if len(s.Mechanisms) == 0 {
			return fmt.Errorf("sasl.enabled.mechanisms: has none for the listener %s", listener)
		}
	}
	if b.SASL == nil {
		b.SASL = map[string]SASL{}
	}
	b.SASL[listener] = s
	b.FailedAuthenticationDelay = b.ms("connection.failed.authentication.delay.ms")
	return nil
}

// mechanism reads how clients authenticate by a mechanism at a listener.
func (b *Broker) mechanism(listener, name string) (Mechanism, error) {
	m := Mechanism{Name: name, MaxReauth: milliseconds(b.maxReauth(listener, name))}
	entry, err := b.entry(listener, name)
	if err != nil {
		return m, err
	}
	if name == sasl.Plain {
		if entry == nil {
			return m, fmt.Errorf("listeners: %s has the mechanism PLAIN and no users: name them in %s", listener, entryKey(listener, name))
		}
		m.Users = entry.Users()
	}
	if name == sasl.OAuthBearer {
		m.OAuth, err = b.oauth(listener)
	}
	return m, err
}

// oauth reads how tokens are verified at a listener.
func (b *Broker) oauth(listener string) (*OAuth, error) {
	of := func(key string) string { return b.ofMechanism(listener, sasl.OAuthBearer, key) }
	ms := func(key string) time.Duration { return milliseconds(number(of(key))) }
	o := &OAuth{
		Keys: oauth.KeysConfig{
			URL: of("sasl.oauthbearer.jwks.endpoint.url"), Allowed: splitList(b.value("klamm.sasl.oauthbearer.allowed.urls")),
			Refresh: ms("sasl.oauthbearer.jwks.endpoint.refresh.ms"),
			Backoff: ms("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms"), MaxBackoff: ms("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms"),
		},
		Tokens: oauth.Config{
			Audience: splitList(of("sasl.oauthbearer.expected.audience")), Issuer: of("sasl.oauthbearer.expected.issuer"),
			Skew: units(number(of("sasl.oauthbearer.clock.skew.seconds")), time.Second), SubClaim: of("sasl.oauthbearer.sub.claim.name"),
		},
	}
	if o.Keys.URL == "" {
		return nil, fmt.Errorf("listeners: %s has the mechanism OAUTHBEARER and nothing to verify tokens by: name the keys of who issues them in sasl.oauthbearer.jwks.endpoint.url; "+
			"tokens without a signature are not taken", listener)
	}
	if err := o.Keys.Check(); err != nil {
		return nil, fmt.Errorf("sasl.oauthbearer.jwks.endpoint.url: %w", err)
	}
	return o, nil
}

// ofMechanism is what is set for a mechanism at a listener, or for the listener, or for
// all.
func (b *Broker) ofMechanism(listener, mechanism, key string) string {
	if v, set := b.values[ofListener(listener, strings.ToLower(mechanism)+"."+key)]; set {
		return v
	}
	return b.ofListener(listener, key)
}

// number is a value that has passed its key's check.
func number(value string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	return n
}

// maxReauth is connections.max.reauth.ms for a mechanism at a listener, or for the
// listener, or for all.
func (b *Broker) maxReauth(listener, mechanism string) int64 {
	return max(number(b.ofMechanism(listener, mechanism, "connections.max.reauth.ms")), 0)
}

func entryKey(listener, mechanism string) string {
	return ofListener(listener, strings.ToLower(mechanism)+".sasl.jaas.config")
}

// entry is what sasl.jaas.config says for a mechanism at a listener, nil where it says
// nothing.
func (b *Broker) entry(listener, mechanism string) (*sasl.Entry, error) {
	module, served := mechanisms[mechanism]
	if !served {
		return nil, fmt.Errorf("sasl.enabled.mechanisms: %s at the listener %s is not served; %s", mechanism, listener, servedMechanisms())
	}
	key := entryKey(listener, mechanism)
	text, set := b.values[key]
	if !set {
		return nil, nil
	}
	e, err := sasl.ParseEntry(text)
	if err == nil && e.Module != module {
		err = fmt.Errorf("of %s the module is %s, and no other can be loaded", mechanism, module)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return e, nil
}

// servedMechanisms says which there are.
func servedMechanisms() string {
	return "there is " + strings.Join(slices.Sorted(maps.Keys(mechanisms)), ", ")
}

// checkLogins reads as whom this node connects to others, and makes sure that no way
// between nodes is open where clients have to say who they are.
func (b *Broker) checkLogins() error {
	if _, set := b.values["sasl.jaas.config"]; set {
		return fmt.Errorf("sasl.jaas.config: name the listener and the mechanism that it is for, as in %s", entryKey("NAME", sasl.Plain))
	}
	if !b.Roles.Set {
		return nil
	}
	controllers := b.ControllerListenerNames[0]
	if err := b.fillLogin(controllers, "sasl.mechanism.controller.protocol"); err != nil {
		return err
	}
	if !b.Roles.Broker {
		return b.checkWays(controllers)
	}
	if err := b.fillLogin(b.InterBrokerListener, "sasl.mechanism.inter.broker.protocol"); err != nil {
		return err
	}
	return b.checkWays(controllers, b.InterBrokerListener)
}

// fillLogin reads as whom this node connects to a listener of others.
func (b *Broker) fillLogin(listener, key string) error {
	s, asks := b.SASL[listener]
	if !asks {
		return nil
	}
	name := b.value(key)
	if has(b.bound, listener) && !slices.ContainsFunc(s.Mechanisms, func(m Mechanism) bool { return m.Name == name }) {
		return fmt.Errorf("%s is %s, which is not one of sasl.enabled.mechanisms at the listener %s", key, name, listener)
	}
	if name == sasl.OAuthBearer {
		return fmt.Errorf("%s: nodes have no tokens: they connect to each other by PLAIN or SCRAM", key)
	}
	entry, err := b.entry(listener, name)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if entry == nil || entry.Options["username"] == "" || entry.Options["password"] == "" {
		return fmt.Errorf(`%s: want username="NAME" password="PASSWORD", as whom this node connects to the others at their listener %s`, entryKey(listener, name), listener)
	}
	s.Login = &Login{Mechanism: name, User: string(entry.Options["username"]), Password: entry.Options["password"]}
	b.SASL[listener] = s
	return nil
}

// checkWays makes sure that at the listeners by which nodes reach each other all have
// to say who they are, if any listener asks for SASL.
func (b *Broker) checkWays(listeners ...string) error {
	if len(b.SASL) == 0 {
		return nil
	}
	for _, listener := range listeners {
		if _, asks := b.SASL[listener]; asks {
			continue
		}
		if s, secured := b.TLS[listener]; secured && s.ClientAuth == tls.RequireAndVerifyClientCert {
			continue
		}
		return fmt.Errorf("listener.security.protocol.map: nodes reach each other by the listener %s, which asks nobody who he is, and other listeners do: "+
			"anybody who reaches it could act as a node. Give it SASL_SSL or SASL_PLAINTEXT, or SSL with ssl.client.auth=required", listener)
	}
	return nil
}
