package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Secret is a value that nobody is to see: it formats as [hidden].
type Secret string

const hidden = "[hidden]"

// String hides the value.
func (Secret) String() string { return hidden }

// GoString hides it from %#v.
func (Secret) GoString() string { return hidden }

// LogValue hides it from logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides it from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// The types of stores, as ssl.keystore.type and ssl.truststore.type name them.
const (
	JKS    = "JKS"
	PKCS12 = "PKCS12"
	PEM    = "PEM"
)

// KeyStore is where this side's certificate and key are.
type KeyStore struct {
	Type        string // JKS, PKCS12 or PEM
	Location    string // of the file; of PEM it holds the key and the certificates
	Password    Secret
	KeyPassword Secret
	Chain       string // of PEM, instead of a file: the certificates, this side's first
	Key         Secret // and the key
	// ChainLocation and KeyLocation are two files of PEM instead of one, as librdkafka
	// has them.
	ChainLocation, KeyLocation string
}

// None reports whether there is no certificate at all.
func (k KeyStore) None() bool {
	return k.Location == "" && k.Chain == "" && k.Key == "" && k.ChainLocation == "" && k.KeyLocation == ""
}

// TrustStore is whose certificates are trusted: without one, what the machine trusts.
type TrustStore struct {
	Type         string
	Location     string
	Password     Secret
	Certificates string // of PEM, instead of a file
}

// None reports whether the machine's own authorities count.
func (t TrustStore) None() bool { return t.Location == "" && t.Certificates == "" }

// Settings are the ssl.* keys of one listener or client.
type Settings struct {
	KeyStore   KeyStore
	TrustStore TrustStore
	ClientAuth tls.ClientAuthType
	Versions   Versions
	Ciphers    Ciphers
	CheckHost  bool // ssl.endpoint.identification.algorithm is https
	Mapping    Mapping
}

// Versions are the versions of TLS that are spoken, from Least to Most.
type Versions struct{ Least, Most uint16 }

// EveryVersion is what ssl.enabled.protocols has by default.
var EveryVersion = Versions{tls.VersionTLS12, tls.VersionTLS13}

// ParseVersions reads ssl.enabled.protocols.
func ParseVersions(list []string) (Versions, error) {
	known := map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
	if len(list) == 0 {
		return EveryVersion, nil
	}
	var all []uint16
	for _, name := range list {
		version, found := known[name]
		if !found {
			return Versions{}, fmt.Errorf("%s is not spoken, only TLSv1.2 and TLSv1.3 are", name)
		}
		all = append(all, version)
	}
	return Versions{slices.Min(all), slices.Max(all)}, nil
}

// ParseClientAuth reads ssl.client.auth.
func ParseClientAuth(value string) (tls.ClientAuthType, error) {
	switch strings.ToLower(value) {
	case "", "none":
		return tls.NoClientCert, nil
	case "requested":
		return tls.VerifyClientCertIfGiven, nil
	case "required":
		return tls.RequireAndVerifyClientCert, nil
	}
	return 0, fmt.Errorf("it is none, requested or required, and not %s", value)
}

// Ciphers are the cipher suites of TLS 1.2, nil for all that are safe, and whether
// those of TLS 1.3 may be used.
type Ciphers struct {
	TLS12   []uint16
	NoTLS13 bool
}

// ParseCiphers reads ssl.cipher.suites, names that IANA has registered.
func ParseCiphers(list []string) (c Ciphers, err error) {
	if len(list) == 0 {
		return c, nil
	}
	known, newest := map[string]uint16{}, map[string]bool{}
	for _, suite := range tls.CipherSuites() {
		if slices.Contains(suite.SupportedVersions, tls.VersionTLS13) {
			newest[suite.Name] = true
		} else {
			known[suite.Name] = suite.ID
		}
	}
	c.TLS12 = []uint16{}
	for _, name := range list {
		id, old := known[name]
		switch {
		case old:
			c.TLS12 = append(c.TLS12, id)
		case newest[name]:
			delete(newest, name)
			c.NoTLS13 = true // undone below where all of them are there
		default:
			return Ciphers{}, fmt.Errorf("%s is no cipher suite that is served; there are %s", name, suiteNames())
		}
	}
	if c.NoTLS13 && len(newest) > 0 {
		return Ciphers{}, fmt.Errorf("the suites of TLS 1.3 are all safe and cannot be chosen among: name %s too, or leave TLSv1.3 out of ssl.enabled.protocols",
			strings.Join(sorted(newest), " and "))
	}
	c.NoTLS13 = len(newest) > 0
	return c, nil
}

func suiteNames() string {
	var names []string
	for _, suite := range tls.CipherSuites() {
		names = append(names, suite.Name)
	}
	return strings.Join(names, ", ")
}

func sorted(set map[string]bool) []string {
	var all []string
	for name := range set {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// base is what both ends of a connection have in common.
func (s *Settings) base() *tls.Config {
	c := &tls.Config{
		MinVersion: s.Versions.Least, MaxVersion: s.Versions.Most, CipherSuites: s.Ciphers.TLS12,
		SessionTicketsDisabled: true,
		// Records of full size: what is sent is read as a whole, not as it comes in.
		DynamicRecordSizingDisabled: true,
	}
	return c
}

// Check makes sure that the versions and the suites leave something to speak, and
// narrows the versions to those that have suites.
func (s *Settings) Check() error {
	if s.Versions == (Versions{}) {
		s.Versions = EveryVersion
	}
	if s.Ciphers.NoTLS13 {
		s.Versions.Most = min(s.Versions.Most, tls.VersionTLS12)
	}
	if s.Ciphers.TLS12 != nil && len(s.Ciphers.TLS12) == 0 {
		s.Versions.Least = max(s.Versions.Least, tls.VersionTLS13)
	}
	if s.Versions.Least > s.Versions.Most {
		return errors.New("none of ssl.cipher.suites belongs to a version of ssl.enabled.protocols")
	}
	return nil
}
