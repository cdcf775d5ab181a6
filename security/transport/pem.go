package transport

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// blocks reads all of PEM that a text has. A key of a configuration may have it in
// one line, with spaces where the lines end.
func blocks(text string) (all []*pem.Block) {
	rest := []byte(onLines(text))
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all
		}
		all = append(all, block)
	}
}

var oneLine = regexp.MustCompile(`-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END [A-Z0-9 ]+-----`)

func onLines(text string) string {
	if strings.Contains(strings.TrimSpace(text), "\n") {
		return text
	}
	return oneLine.ReplaceAllStringFunc(text, func(block string) string {
		parts := oneLine.FindStringSubmatch(block)
		return "-----BEGIN " + parts[1] + "-----\n" + strings.Join(strings.Fields(parts[2]), "\n") + "\n-----END " + parts[1] + "-----\n"
	})
}

// certificatesOfPEM reads the certificates of a text, in their order.
func certificatesOfPEM(text string) (all []*x509.Certificate, err error) {
	for _, block := range blocks(text) {
		if block.Type != "CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// certificateOfPEM puts a chain of certificates and the key of the first together.
func certificateOfPEM(chain, key string, password Secret) (*tls.Certificate, error) {
	certificates, err := certificatesOfPEM(chain)
	switch {
	case err != nil:
		return nil, err
	case len(certificates) == 0:
		return nil, errors.New("there is no certificate (-----BEGIN CERTIFICATE-----)")
	}
	c := &tls.Certificate{Leaf: certificates[0]}
	for _, link := range certificates {
		c.Certificate = append(c.Certificate, link.Raw)
	}
	c.PrivateKey, err = keyOfPEM(key, password)
	return c, err
}

// keyOfPEM reads the first private key of a text.
func keyOfPEM(text string, password Secret) (crypto.PrivateKey, error) {
	for _, block := range blocks(text) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if block.Headers["DEK-Info"] != "" {
			return nil, errors.New("the key is encrypted in an old form; write it anew by openssl pkcs8 -topk8")
		}
		der := block.Bytes
		if block.Type == "ENCRYPTED PRIVATE KEY" {
			var err error
			if der, err = decrypt(der, password); err != nil {
				return nil, fmt.Errorf("decrypt the key: %w", err)
			}
		}
		return parseKey(der)
	}
	return nil, errors.New("there is no private key (-----BEGIN PRIVATE KEY-----)")
}

// parseKey reads a key in the form of PKCS #8, or one of its two forerunners.
func parseKey(der []byte) (crypto.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err == nil {
		return key, nil
	}
	if rsa, oldErr := x509.ParsePKCS1PrivateKey(der); oldErr == nil {
		return rsa, nil
	}
	if ec, oldErr := x509.ParseECPrivateKey(der); oldErr == nil {
		return ec, nil
	}
	return nil, fmt.Errorf("read the private key: %w", err)
}
