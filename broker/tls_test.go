package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/security/issue"
	"github.com/klamm-io/klamm/storage/disk"
)

// certificates are an authority and what it has signed, in a folder.
type certificates struct {
	t   testing.TB
	dir string
	ca  *issue.Authority
}

func newCertificates(t testing.TB) *certificates {
	t.Helper()
	ca, err := issue.NewAuthority("Test CA", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	c := &certificates{t: t, dir: t.TempDir(), ca: ca}
	c.write("ca.pem", ca.Certificate)
	return c
}

func (c *certificates) write(name string, content ...[]byte) string {
	c.t.Helper()
	file := filepath.Join(c.dir, name)
	var all []byte
	for _, part := range content {
		all = append(all, part...)
	}
	if err := os.WriteFile(file, all, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return file
}

func (c *certificates) issue(s issue.Subject) issue.Pair {
	c.t.Helper()
	if s.From.IsZero() {
		s.From, s.Until = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	p, err := c.ca.Issue(s)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// server writes a server's key store, and returns the settings that name it.
func (c *certificates) server(s issue.Subject) []string {
	c.t.Helper()
	s.Server = true
	p := c.issue(s)
	file := c.write(s.Name+".pem", p.Certificate, p.Key)
	return []string{
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + file, "ssl.truststore.type=PEM", "ssl.truststore.location=" + filepath.Join(c.dir, "ca.pem"),
	}
}

// client is a client's part of TLS; without a subject it has no certificate.
func (c *certificates) client(s issue.Subject) *tls.Config {
	c.t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(c.ca.Certificate)
	if s.Name == "" {
		return config
	}
	p := c.issue(s)
	pair, err := tls.X509KeyPair(p.Certificate, p.Key)
	if err != nil {
		c.t.Fatal(err)
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return config
}

var localhost = issue.Subject{Name: "broker", Hosts: []string{"127.0.0.1", "localhost"}}

func startTLS(t *testing.T, c *certificates, of issue.Subject, sets ...string) *node {
	t.Helper()
	return start(t, disk.NewMemory(), "/data", append(append(c.server(of), "listeners=SSL://127.0.0.1:0"), sets...)...)
}

// TestTLS: clients that prove to be somebody are served, whole batches among them.
func TestTLS(t *testing.T) {
	certs := newCertificates(t)
	for _, auth := range []string{"none", "requested", "required"} {
		t.Run(auth, func(t *testing.T) {
			n := startTLS(t, certs, localhost, "ssl.client.auth="+auth)
			var who issue.Subject
			if auth == "required" {
				who.Name = "alice"
			}
			cl := n.client(kgo.DialTLSConfig(certs.client(who)), kgo.ConsumeTopics("t"), kgo.ProducerBatchCompression(kgo.NoCompression()))
			if _, err := kadm.NewClient(cl).CreateTopic(deadline(t), 1, 1, nil, "t"); err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{1, 20_000, 700_000} {
				want := strings.Repeat("x", size)
				if err := cl.ProduceSync(deadline(t), kgo.StringRecord(want)).FirstErr(); err == nil {
					t.Fatal("a record without a topic was taken")
				}
				if err := cl.ProduceSync(deadline(t), &kgo.Record{Topic: "t", Value: []byte(want)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
				got := cl.PollFetches(deadline(t)).Records()
				if len(got) != 1 || string(got[0].Value) != want {
					t.Fatalf("of %d bytes came back %d records", size, len(got))
				}
			}
			n.stopClean()
		})
	}
}

// TestTLSRefused: who is not let in, or does not trust the broker, hears why, and
// the broker's log says it with the listener and the address.
func TestTLSRefused(t *testing.T) {
	certs, others := newCertificates(t), newCertificates(t)
	old := issue.Subject{From: time.Now().Add(-2 * time.Hour), Until: time.Now().Add(-time.Hour)}
	expired, expiredClient, elsewhere := old, old, issue.Subject{Name: "elsewhere", Hosts: []string{"elsewhere.example"}}
	expired.Name, expired.Hosts, expiredClient.Name = "expired", localhost.Hosts, "bob"
	alice := issue.Subject{Name: "alice"}
	stranger := others.client(issue.Subject{Name: "mallory"})
	stranger.RootCAs = certs.client(issue.Subject{}).RootCAs
	outdated := certs.client(alice)
	outdated.MinVersion, outdated.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for name, c := range map[string]struct {
		server        issue.Subject
		client        *tls.Config // nil: without TLS
		hears, logged string
	}{
		"a CA that the client does not know": {localhost, others.client(alice), "certificate signed by unknown authority", "does not take this broker's certificate"},
		"an expired certificate":             {expired, certs.client(alice), "certificate has expired", "does not take this broker's certificate"},
		"another host":                       {elsewhere, certs.client(alice), "doesn't contain any IP SANs", "does not take this broker's certificate"},
		"no client certificate":              {localhost, certs.client(issue.Subject{}), "certificate required", "client didn't provide a certificate"},
		"a stranger's client certificate":    {localhost, stranger, "unknown certificate authority", "certificate signed by unknown authority"},
		"an expired client certificate":      {localhost, certs.client(expiredClient), "expired certificate", "certificate has expired"},
		"TLS 1.1":                            {localhost, outdated, "protocol version not supported", "unsupported versions"},
		"no TLS":                             {localhost, nil, "is TLS missing?", "the client does not speak TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			n := startTLS(t, certs, c.server, "ssl.client.auth=required")
			err := n.ping(c.client)
			if err == nil || !strings.Contains(err.Error(), c.hears) {
				t.Errorf("the client hears %v, want %q", err, c.hears)
			}
			eventually(t, "the log says "+c.logged, func() bool { return strings.Contains(n.log.String(), c.logged) })
			for _, want := range []string{"listener=SSL", "client=127.0.0.1:", "reason=tls"} {
				if !strings.Contains(n.log.String(), want) {
					t.Errorf("the log has no %s", want)
				}
			}
		})
	}
}

// ping asks the broker for its versions, once.
func (n *node) ping(config *tls.Config) error {
	opts := []kgo.Opt{kgo.SeedBrokers(n.addr), kgo.RequestRetries(0), kgo.RetryTimeout(time.Second)}
	if config != nil {
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return cl.Ping(ctx)
}

// TestTLSAtAListenerWithout: the log says what the client took the listener for.
func TestTLSAtAListenerWithout(t *testing.T) {
	n := start(t, disk.NewMemory(), "/data")
	if err := n.ping(newCertificates(t).client(issue.Subject{})); err == nil {
		t.Error("a TLS client was served without TLS")
	}
	eventually(t, "it is logged", func() bool { return strings.Contains(n.log.String(), "the client begins with a TLS handshake") })
}

// TestSilentTLSClientsAreNoHindrance: who connects and says nothing, or stops within
// the handshake, does not keep others from it, nor the broker from stopping.
func TestSilentTLSClientsAreNoHindrance(t *testing.T) {
	certs := newCertificates(t)
	n := startTLS(t, certs, localhost)
	for i := range 400 {
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i < 100 {
			fmt.Fprint(conn, "\x16\x03\x01")
		}
	}
	if err := n.ping(certs.client(issue.Subject{})); err != nil {
		t.Error(err)
	}
	n.stopClean()
}

// TestSecretsAreNotDescribed: DescribeConfigs tells of a password that there is one.
func TestSecretsAreNotDescribed(t *testing.T) {
	certs := newCertificates(t)
	n := startTLS(t, certs, localhost, "ssl.truststore.password=swordfish", "ssl.key.password=swordfish")
	cl := n.client(kgo.DialTLSConfig(certs.client(issue.Subject{})))
	all, err := kadm.NewClient(cl).DescribeBrokerConfigs(deadline(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	secrets := 0
	for _, c := range all[0].Configs {
		if c.Sensitive {
			secrets++
		}
		if c.Sensitive && c.Value != nil || strings.Contains(fmt.Sprintf("%v %v", c.MaybeValue(), c.Synonyms), "swordfish") {
			t.Errorf("%s is described", c.Key)
		}
	}
	if secrets == 0 {
		t.Error("nothing is secret")
	}
	if strings.Contains(n.log.String(), "swordfish") {
		t.Error("the log has a password")
	}
}

// TestClusterWithTLS: three nodes that speak nothing but TLS, and show each other
// their certificates, are a cluster.
func TestClusterWithTLS(t *testing.T) {
	certs := newCertificates(t)
	sets := append(certs.server(localhost), "ssl.client.auth=required", "inter.broker.listener.name=PLAINTEXT",
		"listener.security.protocol.map=PLAINTEXT:SSL,CONTROLLER:SSL", "replica.fetch.wait.max.ms=100")
	c := startNodes(t, 3, sets...)
	c.await("three brokers take part", unfenced(3))
	cl := c.client(kgo.DialTLSConfig(certs.client(issue.Subject{Name: "alice"})))
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 3, 3, nil, "flights"); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "flights", Partition: int32(i % 3), Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c.wantSame("flights", 30)
	for b := range c.any().view.Image().Live() {
		if b.Endpoints[0].SecurityProtocol != 1 {
			t.Errorf("broker %d is registered with protocol %d, want that of SSL", b.ID, b.Endpoints[0].SecurityProtocol)
		}
	}
}
