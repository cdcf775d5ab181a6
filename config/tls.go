package config

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"github.com/klamm-io/klamm/security/transport"
)

// listenerKey parts listener.name.NAME.ssl.…, which is a key for one listener.
func listenerKey(name string) (key string, is bool) {
	rest, is := strings.CutPrefix(name, "listener.name.")
	if !is {
		return "", false
	}
	_, key, is = strings.Cut(rest, ".")
	return key, is
}

// keyOf is the key that a name is of, or of one listener; nil where there is none.
// Only the keys of TLS and SASL have values for each listener.
func keyOf(name string) *key {
	key, is := listenerKey(name)
	switch {
	case is && strings.HasPrefix(key, "ssl."):
		return brokerKeyByName[key]
	case is:
		return ofListenerSASL(key)
	}
	return brokerKeyByName[name]
}

var cipherSuites = rule{"names of suites", func(name, value string) error {
	if _, err := transport.ParseCiphers(splitList(value)); err != nil {
		return invalid(name, value, err.Error())
	}
	return nil
}}

var tlsVersions = rule{"any of TLSv1.2, TLSv1.3", func(name, value string) error {
	if _, err := transport.ParseVersions(splitList(value)); err != nil {
		return invalid(name, value, err.Error())
	}
	return nil
}}

var storeType = oneOf(transport.JKS, transport.PKCS12, transport.PEM)

var mappingRules = rule{"RULE:…/…/[LU], DEFAULT", func(name, value string) error {
	if _, err := transport.ParseMapping(value); err != nil {
		return invalid(name, value, err.Error())
	}
	return nil
}}

// ofListener names a key for one listener.
func ofListener(listener, key string) string {
	return "listener.name." + strings.ToLower(listener) + "." + key
}

// ofListener is what is set for a listener, or for all.
func (b *Broker) ofListener(listener, key string) string {
	if v, set := b.values[ofListener(listener, key)]; set {
		return v
	}
	return b.value(key)
}

// fillTLS reads how a listener is secured. key is where it is named.
func (b *Broker) fillTLS(key, listener, protocol string) error {
	of := func(name string) string { return b.ofListener(listener, name) }
	s := transport.Settings{
		KeyStore: transport.KeyStore{
			Type: of("ssl.keystore.type"), Location: of("ssl.keystore.location"),
			Password: transport.Secret(of("ssl.keystore.password")), KeyPassword: transport.Secret(of("ssl.key.password")),
			Chain: of("ssl.keystore.certificate.chain"), Key: transport.Secret(of("ssl.keystore.key")),
		},
		TrustStore: transport.TrustStore{
			Type: of("ssl.truststore.type"), Location: of("ssl.truststore.location"),
			Password: transport.Secret(of("ssl.truststore.password")), Certificates: of("ssl.truststore.certificates"),
		},
		CheckHost: of("ssl.endpoint.identification.algorithm") != "",
	}
	// Each has passed its key's check.
	s.ClientAuth, _ = transport.ParseClientAuth(of("ssl.client.auth"))
	if !b.IsSet(ofListener(listener, "ssl.client.auth")) && protocol == SASLSSL {
		s.ClientAuth = tls.NoClientCert // who authenticates by SASL is asked for a certificate only where that is said of the listener itself
	}
	s.Versions, _ = transport.ParseVersions(splitList(of("ssl.enabled.protocols")))
	s.Ciphers, _ = transport.ParseCiphers(splitList(of("ssl.cipher.suites")))
	s.Mapping, _ = transport.ParseMapping(of("ssl.principal.mapping.rules"))
	if err := s.Check(); err != nil {
		return fmt.Errorf("%s: %s: %w", key, listener, err)
	}
	if b.TLS == nil {
		b.TLS = map[string]transport.Settings{}
	}
	b.TLS[listener] = s
	return nil
}

// checkCertificates makes sure that the listeners of this node have what they show.
func (b *Broker) checkCertificates() error {
	for _, e := range slices.Concat(b.Listeners, b.ControllerListeners) {
		if s, secured := b.TLS[e.Listener]; secured && s.KeyStore.None() {
			return fmt.Errorf("listeners: %s speaks %s and has no certificate; name one in ssl.keystore.location", e.Listener, b.Protocol(e.Listener))
		}
	}
	return nil
}
