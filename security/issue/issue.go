// Package issue makes certificates: those of an authority of one's own, and those
// that it signs for servers and clients. What it makes is PEM, which Kafka's own
// brokers and clients read too.
package issue

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Pair is a certificate and its private key, both PEM.
type Pair struct{ Certificate, Key []byte }

// Authority signs certificates.
type Authority struct {
	Pair
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Subject is whom a certificate is for.
type Subject struct {
	Name        string   // the common name
	Hosts       []string // names and addresses that a server is reached by
	Server      bool     // it may be a server's; every certificate may be a client's
	From, Until time.Time
}

// NewAuthority makes an authority that trusts itself.
func NewAuthority(name string, from, until time.Time) (*Authority, error) {
	template, err := templateFor(Subject{Name: name, From: from, Until: until})
	if err != nil {
		return nil, err
	}
	template.IsCA, template.MaxPathLenZero = true, true
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	pair, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return Open(pair)
}

// Open takes up an authority that was made before.
func Open(p Pair) (*Authority, error) {
	certificate, _ := pem.Decode(p.Certificate)
	key, _ := pem.Decode(p.Key)
	if certificate == nil || key == nil {
		return nil, errors.New("the authority's certificate or key is not PEM")
	}
	a := &Authority{Pair: p}
	var err error
	if a.certificate, err = x509.ParseCertificate(certificate.Bytes); err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	read, err := x509.ParsePKCS8PrivateKey(key.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the authority's key: %w", err)
	}
	var is bool
	if a.key, is = read.(*ecdsa.PrivateKey); !is || !a.key.PublicKey.Equal(a.certificate.PublicKey) {
		return nil, errors.New("the authority's key is not that of its certificate")
	}
	return a, nil
}

// Issue makes a key, and a certificate for it.
func (a *Authority) Issue(s Subject) (Pair, error) {
	template, err := templateFor(s)
	if err != nil {
		return Pair{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make a key: %w", err)
	}
	return sign(template, a.certificate, key, a.key)
}

func templateFor(s Subject) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: s.Name}, NotBefore: s.From, NotAfter: s.Until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	if s.Server {
		c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range s.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, host)
		}
	}
	return c, nil
}

// sign makes the certificate of key, signed by by.
func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		return Pair{}, fmt.Errorf("sign the certificate of %s: %w", template.Subject, err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("write the key of %s: %w", template.Subject, err)
	}
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}, nil
}
