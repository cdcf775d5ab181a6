package transport

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// maxStore bounds a store's file, which is read whole.
const maxStore = 16 << 20

// certificate reads this side's certificate, nil where there is none.
func (k KeyStore) certificate() (*tls.Certificate, error) {
	if k.None() {
		return nil, nil
	}
	c, err := k.read()
	if err != nil {
		return nil, fmt.Errorf("read the key store: %w", err)
	}
	if err := checkKey(c); err != nil {
		return nil, fmt.Errorf("the key store %s: %w", k.Location, err)
	}
	return c, nil
}

func (k KeyStore) read() (*tls.Certificate, error) {
	if k.Location == "" {
		return k.readPEM()
	}
	raw, err := readStore(k.Location)
	if err != nil {
		return nil, err
	}
	if k.Type == PEM {
		return certificateOfPEM(string(raw), string(raw), k.KeyPassword)
	}
	if err := checkForm(raw, k.Type, k.Location, "ssl.keystore.type"); err != nil {
		return nil, err
	}
	if k.KeyPassword != "" && k.KeyPassword != k.Password {
		return nil, fmt.Errorf("%s: ssl.key.password is not ssl.keystore.password; the keys of PKCS12 have the store's password", k.Location)
	}
	key, leaf, others, err := pkcs12.DecodeChain(raw, string(k.Password))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Location, err)
	}
	c := &tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, link := range inOrder(leaf, others) {
		c.Certificate = append(c.Certificate, link.Raw)
	}
	return c, nil
}

// readPEM reads what does not stand in one file.
func (k KeyStore) readPEM() (*tls.Certificate, error) {
	chain, key := k.Chain, string(k.Key)
	for _, part := range []struct {
		location string
		text     *string
	}{{k.ChainLocation, &chain}, {k.KeyLocation, &key}} {
		if part.location == "" {
			continue
		}
		raw, err := readStore(part.location)
		if err != nil {
			return nil, err
		}
		*part.text = string(raw)
	}
	return certificateOfPEM(chain, key, k.KeyPassword)
}

func readStore(location string) ([]byte, error) {
	about, err := os.Stat(location)
	switch {
	case err != nil:
		return nil, err
	case about.Size() > maxStore:
		return nil, fmt.Errorf("%s: %d bytes are more than any store has", location, about.Size())
	}
	return os.ReadFile(location)
}

// checkForm makes sure that a file has the form that its type says. Java's JKS reads
// PKCS12 too, and so does this.
func checkForm(raw []byte, kind, location, key string) error {
	switch {
	case bytes.HasPrefix(raw, []byte{0xfe, 0xed, 0xfe, 0xed}), bytes.HasPrefix(raw, []byte{0xce, 0xce, 0xce, 0xce}):
		return fmt.Errorf("%s is a key store of Java's own form, which is not read here; make it one of PKCS12 by "+
			"keytool -importkeystore -srckeystore %s -destkeystore %s.p12 -deststoretype PKCS12, and set %s=PKCS12",
			location, location, strings.TrimSuffix(location, ".jks"), key)
	case bytes.Contains(raw, []byte("-----BEGIN ")):
		return fmt.Errorf("%s is PEM, and %s is %s; set it to PEM", location, key, kind)
	}
	return nil
}

// inOrder sorts what signs leaf behind it, each before who signed it.
func inOrder(leaf *x509.Certificate, others []*x509.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{leaf}
	for last := leaf; len(chain) <= len(others); {
		next := issuerOf(last, others)
		if next == nil {
			break
		}
		chain = append(chain, next)
		last = next
	}
	return chain
}

func issuerOf(c *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	if bytes.Equal(c.RawIssuer, c.RawSubject) {
		return nil // it has signed itself
	}
	for _, other := range among {
		if bytes.Equal(other.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(other) == nil {
			return other
		}
	}
	return nil
}

// checkKey makes sure that the key is the certificate's.
func checkKey(c *tls.Certificate) error {
	key, signs := c.PrivateKey.(crypto.Signer)
	public, compares := c.Leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !signs || !compares {
		return fmt.Errorf("keys of type %T are not used for TLS", c.PrivateKey)
	}
	if !public.Equal(key.Public()) {
		return errors.New("the key is not that of the first certificate")
	}
	return nil
}

// pool reads who is trusted, nil for whom the machine trusts.
func (t TrustStore) pool() (*x509.CertPool, error) {
	if t.None() {
		return nil, nil
	}
	certificates, err := t.read()
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the trust store: %w", err)
	case len(certificates) == 0:
		return nil, fmt.Errorf("the trust store %s has no certificate", t.Location)
	}
	pool := x509.NewCertPool()
	for _, c := range certificates {
		pool.AddCert(c)
	}
	return pool, nil
}

func (t TrustStore) read() ([]*x509.Certificate, error) {
	if t.Location == "" {
		return certificatesOfPEM(t.Certificates)
	}
	raw, err := readStore(t.Location)
	if err != nil {
		return nil, err
	}
	if t.Type == PEM {
		return certificatesOfPEM(string(raw))
	}
	if err := checkForm(raw, t.Type, t.Location, "ssl.truststore.type"); err != nil {
		return nil, err
	}
	all, err := pkcs12.DecodeTrustStore(raw, string(t.Password))
	if err != nil {
		return nil, fmt.Errorf("%s: %w; a trust store is made by keytool -importcert", t.Location, err)
	}
	return all, nil
}
