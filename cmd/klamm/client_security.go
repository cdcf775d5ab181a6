package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/security/transport"
)

// clientSecurity is what -X says of how brokers are connected to.
type clientSecurity struct {
	tls    bool
	asks   bool     // brokers ask by SASL who the client is
	named  []string // settings of TLS that were given
	told   []string // settings of SASL that were given
	stores transport.Settings
	who    credentials
}

// securitySetting takes the value of one of the configs that secure a client.
type securitySetting func(s *clientSecurity, value string) error

// securitySettings are those configs, by Java's names or librdkafka's.
var securitySettings = map[string]securitySetting{
	"security.protocol":                     protocolSetting,
	"ssl.ca.location":                       trustedPEM,
	"ssl.certificate.location":              storeSetting(func(s *transport.Settings, v string) { s.KeyStore.ChainLocation = v }),
	"ssl.key.location":                      storeSetting(func(s *transport.Settings, v string) { s.KeyStore.KeyLocation = v }),
	"ssl.key.password":                      storeSetting(func(s *transport.Settings, v string) { s.KeyStore.KeyPassword = transport.Secret(v) }),
	"ssl.keystore.type":                     storeType(func(s *transport.Settings, v string) { s.KeyStore.Type = v }),
	"ssl.keystore.location":                 storeSetting(func(s *transport.Settings, v string) { s.KeyStore.Location = v }),
	"ssl.keystore.password":                 storeSetting(func(s *transport.Settings, v string) { s.KeyStore.Password = transport.Secret(v) }),
	"ssl.keystore.certificate.chain":        storeSetting(func(s *transport.Settings, v string) { s.KeyStore.Chain = v }),
	"ssl.keystore.key":                      storeSetting(func(s *transport.Settings, v string) { s.KeyStore.Key = transport.Secret(v) }),
	"ssl.truststore.type":                   storeType(func(s *transport.Settings, v string) { s.TrustStore.Type = v }),
	"ssl.truststore.location":               storeSetting(func(s *transport.Settings, v string) { s.TrustStore.Location = v }),
	"ssl.truststore.password":               storeSetting(func(s *transport.Settings, v string) { s.TrustStore.Password = transport.Secret(v) }),
	"ssl.truststore.certificates":           storeSetting(func(s *transport.Settings, v string) { s.TrustStore.Certificates = v }),
	"ssl.endpoint.identification.algorithm": hostSetting,
	"sasl.mechanism":                        mechanismSetting,
	"sasl.mechanisms":                       mechanismSetting,
	"sasl.jaas.config":                      jaasSetting,
	"sasl.username":                         func(s *clientSecurity, v string) error { s.who.user = v; return nil },
	"sasl.password":                         func(s *clientSecurity, v string) error { s.who.password = transport.Secret(v); return nil },
}

func protocolSetting(s *clientSecurity, value string) error {
	switch strings.ToUpper(value) {
	case config.Plaintext, config.SSL, config.SASLPlaintext, config.SASLSSL:
		s.tls, s.asks = strings.HasSuffix(strings.ToUpper(value), config.SSL), strings.HasPrefix(strings.ToUpper(value), "SASL")
		return nil
	}
	return errors.New("it is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
}

func storeSetting(set func(*transport.Settings, string)) securitySetting {
	return func(s *clientSecurity, value string) error {
		set(&s.stores, value)
		return nil
	}
}

func storeType(set func(*transport.Settings, string)) securitySetting {
	return func(s *clientSecurity, value string) error {
		if !slices.Contains([]string{transport.PEM, transport.PKCS12, transport.JKS}, value) {
			return errors.New("it is PEM, PKCS12 or JKS")
		}
		set(&s.stores, value)
		return nil
	}
}

func trustedPEM(s *clientSecurity, value string) error {
	s.stores.TrustStore = transport.TrustStore{Type: transport.PEM, Location: value}
	return nil
}

// hostSetting takes librdkafka's none too, which is Java's empty value.
func hostSetting(s *clientSecurity, value string) error {
	if value != "https" && value != "" && value != "none" {
		return errors.New("it is https, or none")
	}
	s.stores.CheckHost = value == "https"
	return nil
}

func newClientSecurity() clientSecurity {
	return clientSecurity{stores: transport.Settings{
		KeyStore: transport.KeyStore{Type: transport.JKS}, TrustStore: transport.TrustStore{Type: transport.JKS}, CheckHost: true,
	}}
}

// take takes a setting, if it is one of these.
func (s *clientSecurity) take(key, value string) (is bool, err error) {
	setting, is := securitySettings[key]
	if !is {
		return false, nil
	}
	switch {
	case strings.HasPrefix(key, "ssl."):
		s.named = append(s.named, key)
	case strings.HasPrefix(key, "sasl."):
		s.told = append(s.told, key)
	}
	return true, setting(s, value)
}

// options are the client's options that follow.
func (s *clientSecurity) options() ([]kgo.Opt, error) {
	switch {
	case !s.tls && len(s.named) > 0:
		return nil, fmt.Errorf("-X %s has no effect without -X security.protocol=SSL or SASL_SSL", s.named[0])
	case !s.asks && len(s.told) > 0:
		return nil, fmt.Errorf("-X %s has no effect without -X security.protocol=SASL_SSL or SASL_PLAINTEXT", s.told[0])
	}
	var opts []kgo.Opt
	if s.asks {
		var err error
		if opts, err = s.who.options(); err != nil {
			return nil, err
		}
	}
	if !s.tls {
		return opts, nil
	}
	source, err := transport.Open("client", s.stores, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	dial := source.Dialer((&net.Dialer{}).DialContext)
	return append(opts, kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return dial(ctx, network, addr)
	})), nil
}

// clientKeys are all keys that -X takes.
func clientKeys() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for key := range maps.Keys(clientSettings) {
			if !yield(key) {
				return
			}
		}
		for key := range maps.Keys(securitySettings) {
			if !yield(key) {
				return
			}
		}
	})
}
