package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/klamm-io/klamm/security"
)

const (
	// checkEvery is how often it is looked whether a store's file has changed.
	checkEvery = 3 * time.Second
	// expiresSoon is from when on it is told that a certificate will expire.
	expiresSoon = 14 * 24 * time.Hour
)

// Source is what one listener or client secures its connections with. It is safe for
// concurrent use.
type Source struct {
	name     string // for the log
	settings Settings
	logger   *slog.Logger
	current  atomic.Pointer[material]
	seen     stamp // of the files, when they were read last; of Run
}

// material is what was read at one time.
type material struct{ server, client *tls.Config }

// Open reads the stores. Name is the listener's, for the log.
func Open(name string, s Settings, logger *slog.Logger) (*Source, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	source := &Source{name: name, settings: s, logger: logger, seen: stampOf(s.files())}
	read, err := source.read()
	if err != nil {
		return nil, err
	}
	source.current.Store(read)
	return source, nil
}

func (s *Source) read() (*material, error) {
	own, err := s.settings.KeyStore.certificate()
	if err != nil {
		return nil, err
	}
	trusted, err := s.settings.TrustStore.pool()
	if err != nil {
		return nil, err
	}
	m := &material{server: s.settings.base(), client: s.settings.base()}
	m.server.ClientAuth, m.server.ClientCAs = s.settings.ClientAuth, trusted
	m.client.RootCAs = trusted
	if own != nil {
		m.server.Certificates = []tls.Certificate{*own}
		// Who does not trust it is to say so, rather than that there was none.
		m.client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
		s.tellAge(own.Leaf)
	}
	if !s.settings.CheckHost {
		m.client.InsecureSkipVerify = true // of the name alone
		m.client.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, trusted) }
	}
	return m, nil
}

// verifyChain is what is left of verifying a server where its name does not matter.
func verifyChain(state tls.ConnectionState, trusted *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server has no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: trusted, Intermediates: between}); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}

// tellAge warns of a certificate that expires.
func (s *Source) tellAge(c *x509.Certificate) {
	switch left := time.Until(c.NotAfter); {
	case left <= 0:
		s.logger.Warn("the certificate has expired: nobody will connect", "listener", s.name, "subject", c.Subject, "expired", c.NotAfter)
	case left < expiresSoon:
		s.logger.Warn("the certificate will expire", "listener", s.name, "subject", c.Subject, "expires", c.NotAfter)
	}
}

// Run looks for changed files until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	files := s.settings.files()
	if len(files) == 0 {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.reload(files)
		case <-ctx.Done():
			return nil
		}
	}
}

// reload reads the stores where their files have changed.
func (s *Source) reload(files []string) {
	now := stampOf(files)
	if now == s.seen {
		return
	}
	s.seen = now
	read, err := s.read()
	if err != nil {
		s.logger.Error("the certificates have changed and cannot be used; the former ones stay", "listener", s.name, "err", err)
		return
	}
	s.current.Store(read)
	s.logger.Info("the certificates were read anew", "listener", s.name)
}

// files are those that the stores are read from.
func (s *Settings) files() (all []string) {
	for _, file := range []string{s.KeyStore.Location, s.KeyStore.ChainLocation, s.KeyStore.KeyLocation, s.TrustStore.Location} {
		if file != "" {
			all = append(all, file)
		}
	}
	return all
}

// stamp is by what a change of files is known: when each was written, and its size.
type stamp [4]struct {
	written time.Time
	size    int64
}

func stampOf(files []string) (s stamp) {
	for i, file := range files {
		if about, err := os.Stat(file); err == nil {
			s[i].written, s[i].size = about.ModTime(), about.Size()
		}
	}
	return s
}

// Server is for the server's end of connections: each has what was read last.
func (s *Source) Server() *tls.Config {
	return &tls.Config{
		MinVersion:         s.settings.Versions.Least,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load().server, nil },
	}
}

// Principal is who the other end of a connection is by its certificate.
func (s *Source) Principal(state tls.ConnectionState) (security.Principal, error) {
	if len(state.PeerCertificates) == 0 {
		return security.Anonymous, nil
	}
	distinguished, err := DistinguishedName(state.PeerCertificates[0].RawSubject)
	if err != nil {
		return security.Principal{}, err
	}
	name, err := s.settings.Mapping.Name(distinguished)
	return security.Principal{Type: security.Anonymous.Type, Name: name}, err
}

// Dial connects to an address, "host:port".
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// ErrHandshake says that there is somebody at an address, but that no secure
// connection came of it.
var ErrHandshake = errors.New("TLS handshake")

// Dialer returns dial with TLS over it. It verifies who is there by the trust store
// and, where CheckHost is set, by the host of the address.
func (s *Source) Dialer(dial Dial) Dial {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		config := s.current.Load().client.Clone()
		config.ServerName = host
		secured := tls.Client(conn, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("%w with %s: %w", ErrHandshake, addr, explained(err))
		}
		return abrupt{secured}, nil
	}
}

// explained says what an error means where its words do not.
func explained(err error) error {
	var header tls.RecordHeaderError
	if errors.As(err, &header) {
		return fmt.Errorf("%w; the listener there may be one without TLS", err)
	}
	return err
}

// abrupt is a connection whose Close does not wait until the other end has room for
// a word of it. Frames tell their length, so none can be taken for whole that is cut off.
type abrupt struct{ *tls.Conn }

func (c abrupt) Close() error { return c.NetConn().Close() }
