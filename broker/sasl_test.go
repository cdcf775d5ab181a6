package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	franzoauth "github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/klamm-io/klamm/cluster/format"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/issue"
	"github.com/klamm-io/klamm/security/sasl"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/test/wire"
)

// plainUsers are alice, and node, as whom nodes connect.
const plainUsers = sasl.PlainModule + ` required username="node" password="node-secret" user_node="node-secret" user_alice="alice-secret";`

// startPlain runs a broker whose one listener asks for PLAIN.
func startPlain(t *testing.T, sets ...string) *node {
	t.Helper()
	return start(t, disk.NewMemory(), "/data", append([]string{
		"listeners=SASL_PLAINTEXT://127.0.0.1:0", "sasl.enabled.mechanisms=PLAIN", "connection.failed.authentication.delay.ms=10",
		"listener.name.sasl_plaintext.plain.sasl.jaas.config=" + plainUsers,
	}, sets...)...)
}

func asPlain(user, password string) kgo.Opt {
	return kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism())
}

// use creates a topic and writes and reads a record.
func (n *node) use(opts ...kgo.Opt) error {
	n.t.Helper()
	cl := n.client(append(opts, kgo.ConsumeTopics("t"), kgo.RequestRetries(1))...)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 1, nil, "t"); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return err
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
		return err
	}
	if cl.PollFetches(ctx).NumRecords() == 0 {
		return errors.New("no record came back")
	}
	return nil
}

// TestPlain: who knows a password is served, and no one else.
func TestPlain(t *testing.T) {
	n := startPlain(t)
	if err := n.use(asPlain("alice", "alice-secret")); err != nil {
		t.Fatal(err)
	}
	for _, opt := range []kgo.Opt{asPlain("alice", "node-secret"), asPlain("mallory", "alice-secret")} {
		if err := n.use(opt); err == nil || !strings.Contains(err.Error(), "SASL_AUTHENTICATION_FAILED") {
			t.Errorf("a wrong password: %v", err)
		}
	}
	if err := n.use(); err == nil {
		t.Error("somebody was served who has not said who he is")
	}
	if log := n.log.String(); !strings.Contains(log, "reason=sasl") || strings.Contains(log, "-secret") {
		t.Errorf("the log: %s", log)
	}
}

// TestPlainOverTLS: SASL_SSL has both, and asks for no certificate where that is not
// said of the listener itself.
func TestPlainOverTLS(t *testing.T) {
	certs := newCertificates(t)
	sets := append(certs.server(localhost), "listeners=SASL_SSL://127.0.0.1:0", "sasl.enabled.mechanisms=PLAIN", "ssl.client.auth=required",
		"listener.name.sasl_ssl.plain.sasl.jaas.config="+plainUsers, "authorizer.class.name="+security.StandardClass, "super.users=User:alice")
	n := start(t, disk.NewMemory(), "/data", sets...)
	tls := kgo.DialTLSConfig(certs.client(issue.Subject{}))
	if err := n.use(tls, asPlain("alice", "alice-secret")); err != nil {
		t.Error(err)
	}
	if err := n.use(tls, asPlain("node", "node-secret")); err == nil || !strings.Contains(err.Error(), "AUTHORIZATION_FAILED") {
		t.Errorf("who has no rights: %v", err)
	}
	if err := n.use(tls); err == nil {
		t.Error("somebody was served who has not said who he is")
	}
}

// TestOldClientsAuthenticate: after a handshake of version 0 tokens come bare, and go
// so.
func TestOldClientsAuthenticate(t *testing.T) {
	n := startPlain(t)
	for password, works := range map[string]bool{"alice-secret": true, "wrong": false} {
		c := n.dial()
		if resp := askOn[*kmsg.SASLHandshakeResponse](t, c, &kmsg.SASLHandshakeRequest{Mechanism: "PLAIN"}); resp.ErrorCode != 0 || len(resp.SupportedMechanisms) != 1 {
			t.Fatalf("%+v", resp)
		}
		token := "\x00alice\x00" + password
		if err := c.Send(append([]byte{0, 0, 0, byte(len(token))}, token...)); err != nil {
			t.Fatal(err)
		}
		var size [4]byte
		_, err := io.ReadFull(c, size[:])
		if (err == nil) != works || size != [4]byte{} {
			t.Errorf("password %s: %v, answer of %v bytes", password, err, size)
		}
		if works {
			askOn[*kmsg.MetadataResponse](t, c, kmsg.NewPtrMetadataRequest())
		}
	}
}

// TestStrangersAreReadLittle: who is not known yet may not send what takes memory.
func TestStrangersAreReadLittle(t *testing.T) {
	n := startPlain(t, "sasl.server.max.receive.size=2000")
	for what, frame := range map[string][]byte{
		"first":                []byte{0, 0, 0x10, 0},
		"after the handshake":  append(wire.Frame(&kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "PLAIN"}, 1), 0, 0, 0x10, 0),
		"another API":          wire.Frame(kmsg.NewPtrMetadataRequest(), 1),
		"a token at the begin": wire.Frame(&kmsg.SASLAuthenticateRequest{SASLAuthBytes: []byte("\x00alice\x00alice-secret")}, 1),
	} {
		c := n.dial()
		if err := c.Send(frame); err != nil {
			t.Fatal(err)
		}
		if what == "after the handshake" {
			if _, err := c.Receive(); err != nil {
				t.Error(what, err)
			}
		}
		if _, err := c.Receive(); err == nil {
			t.Errorf("%s: it was answered", what)
		}
	}
}

// TestSessionsEnd: whose time is over is hung up on, unless he says again who he is.
func TestSessionsEnd(t *testing.T) {
	n := startPlain(t, "connections.max.reauth.ms=1500")
	known := func() *wire.Conn {
		c := n.dial()
		askOn[*kmsg.SASLHandshakeResponse](t, c, &kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "PLAIN"})
		resp := askOn[*kmsg.SASLAuthenticateResponse](t, c, &kmsg.SASLAuthenticateRequest{Version: 1, SASLAuthBytes: []byte("\x00alice\x00alice-secret")})
		if resp.ErrorCode != 0 || resp.SessionLifetimeMillis != 1500 {
			t.Fatalf("%+v", resp)
		}
		return c
	}
	silent, again := known(), known()
	eventually(t, "the session of who says nothing has ended", func() bool {
		_, err := silent.RoundTrip(kmsg.NewPtrMetadataRequest())
		return err != nil
	})
	askOn[*kmsg.SASLHandshakeResponse](t, again, &kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "PLAIN"})
	askOn[*kmsg.SASLAuthenticateResponse](t, again, &kmsg.SASLAuthenticateRequest{Version: 1, SASLAuthBytes: []byte("\x00alice\x00alice-secret")})
	askOn[*kmsg.MetadataResponse](t, again, kmsg.NewPtrMetadataRequest())
}

// TestClientsAuthenticateAgain: those of today do so by themselves, a second before
// their session ends.
func TestClientsAuthenticateAgain(t *testing.T) {
	cl := startPlain(t, "connections.max.reauth.ms=2000").client(asPlain("alice", "alice-secret"), kgo.RequestRetries(0))
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err := cl.Ping(deadline(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFailuresAreSlow: who guesses waits.
func TestFailuresAreSlow(t *testing.T) {
	n := startPlain(t, "connection.failed.authentication.delay.ms=300")
	c := n.dial()
	begin := time.Now()
	resp := askOn[*kmsg.SASLHandshakeResponse](t, c, &kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "NONE"})
	if took := time.Since(begin); resp.ErrorCode != 33 || took < 300*time.Millisecond {
		t.Errorf("code %d after %s", resp.ErrorCode, took)
	}
	if _, err := c.Receive(); err != io.EOF {
		t.Errorf("the connection stands: %v", err)
	}
}

// saslNodes sets three nodes that say to each other by SASL who they are.
func saslNodes(mechanism string, more ...string) []string {
	return append([]string{
		"listener.security.protocol.map=PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT", "inter.broker.listener.name=PLAINTEXT",
		"sasl.enabled.mechanisms=" + mechanism, "sasl.mechanism.inter.broker.protocol=" + mechanism, "sasl.mechanism.controller.protocol=" + mechanism,
		"authorizer.class.name=" + security.StandardClass, "super.users=User:node", "connections.max.reauth.ms=2000", "listener.name.controller.connections.max.reauth.ms=1000",
	}, more...)
}

// TestClusterWithSASL: three nodes that are told apart from clients by their password
// are a cluster, for longer than a client's session; who has no rights cannot be one.
func TestClusterWithSASL(t *testing.T) {
	c := startNodes(t, 3, saslNodes("PLAIN", "listener.name.plaintext.plain.sasl.jaas.config="+plainUsers, "listener.name.controller.plain.sasl.jaas.config="+plainUsers)...)
	c.await("three brokers take part", unfenced(3))
	cl := c.client(asPlain("node", "node-secret"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 3, 3, nil, "flights"); err != nil {
		t.Fatal(err)
	}
	for begin, i := time.Now(), 0; i < 30 || time.Since(begin) < 1500*time.Millisecond; i++ {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "flights", Partition: int32(i % 3), Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for b := range c.any().view.Image().Live() {
		if b.Endpoints[0].SecurityProtocol != 2 {
			t.Errorf("broker %d is registered with protocol %d, want that of SASL_PLAINTEXT", b.ID, b.Endpoints[0].SecurityProtocol)
		}
	}
	for i, n := range c.up {
		if strings.Contains(n.log.String(), "the session has ended") {
			t.Errorf("node %d hung up on another", i+1)
		}
	}
}

// scramFile formats a node for a cluster that begins with users of SCRAM.
func scramFile(t *testing.T, fs disk.FS, users ...string) {
	t.Helper()
	c := settings(t, "/data")
	r := format.Request{ClusterID: testCluster}
	for _, u := range users {
		one, err := format.ParseCredential(u)
		if err != nil {
			t.Fatal(err)
		}
		r.Credentials = append(r.Credentials, one)
	}
	if _, err := format.Run(fs, c, r); err != nil {
		t.Fatal(err)
	}
}

func asScram(mechanism, user, password string) kgo.Opt {
	auth := scram.Auth{User: user, Pass: password}
	if mechanism == "SCRAM-SHA-512" {
		return kgo.SASL(auth.AsSha512Mechanism())
	}
	return kgo.SASL(auth.AsSha256Mechanism())
}

// TestScram: a cluster begins with the users that it was formatted with; they add
// others, and who is removed is no more let in. All that holds over a restart.
func TestScram(t *testing.T) {
	fs := disk.NewMemory()
	scramFile(t, fs, "SCRAM-SHA-256=[name=admin,password=admin-secret]")
	sets := []string{"node.id=1", "listeners=SASL_PLAINTEXT://127.0.0.1:0", "sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512", "connection.failed.authentication.delay.ms=10"}
	n := start(t, fs, "/data", sets...)
	admin := asScram("SCRAM-SHA-256", "admin", "admin-secret")
	for m, name := range map[kadm.ScramMechanism]string{kadm.ScramSha256: "SCRAM-SHA-256", kadm.ScramSha512: "SCRAM-SHA-512"} {
		alter := func(del []kadm.DeleteSCRAM, set []kadm.UpsertSCRAM) {
			t.Helper()
			altered, err := kadm.NewClient(n.client(admin)).AlterUserSCRAMs(deadline(t), del, set)
			if err == nil {
				err = altered.Error()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		alter(nil, []kadm.UpsertSCRAM{{User: "al=i,ce", Mechanism: m, Iterations: 4096, Password: "päss"}})
		if err := n.use(asScram(name, "al=i,ce", "päss")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		n.stopClean()
		n = start(t, fs, "/data", sets...)
		for what, who := range map[string]kgo.Opt{"wrong": asScram(name, "al=i,ce", "pass"), "unknown": asScram(name, "bob", "päss")} {
			if err := n.use(who); err == nil || !strings.Contains(err.Error(), "due to invalid credentials with SASL mechanism "+name) {
				t.Errorf("%s by %s: %v", what, name, err)
			}
		}
		if err := n.use(asScram(name, "al=i,ce", "päss")); err != nil {
			t.Errorf("%s after a restart: %v", name, err)
		}
		alter([]kadm.DeleteSCRAM{{User: "al=i,ce", Mechanism: m}}, nil)
		if err := n.use(asScram(name, "al=i,ce", "päss")); err == nil {
			t.Errorf("%s: a user was let in that was deleted", name)
		}
	}
	if log := n.log.String(); strings.Contains(log, "secret") || strings.Contains(log, "päss") {
		t.Errorf("the log has a password: %s", log)
	}
}

// TestClusterWithScram: nodes that know each other only by what their folders were
// formatted with are a cluster.
func TestClusterWithScram(t *testing.T) {
	entry := sasl.ScramModule + ` required username="node" password="node-secret";`
	c := prepareNodes(t, 3, saslNodes("SCRAM-SHA-256", "listener.name.plaintext.scram-sha-256.sasl.jaas.config="+entry, "listener.name.controller.scram-sha-256.sasl.jaas.config="+entry)...)
	for i := range c.disks {
		first, err := format.ParseCredential("SCRAM-SHA-256=[name=node,password=node-secret]")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := format.Run(c.disks[i], settings(t, "/data", c.sets[i]...), format.Request{ClusterID: testCluster, Credentials: []security.ScramCredential{first}}); err != nil {
			t.Fatal(err)
		}
		c.start(i)
	}
	c.await("three brokers take part", unfenced(3))
	if _, err := kadm.NewClient(c.client(asScram("SCRAM-SHA-256", "node", "node-secret"))).CreateTopic(deadline(t), 3, 3, nil, "flights"); err != nil {
		t.Fatal(err)
	}
}

// TestOAuthBearer: who has a token of the issuer is served until it expires, and no one
// else.
func TestOAuthBearer(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &private.PublicKey, KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, jwks, 0o600); err != nil {
		t.Fatal(err)
	}
	n := start(t, disk.NewMemory(), "/data", "listeners=SASL_PLAINTEXT://127.0.0.1:0", "sasl.enabled.mechanisms=OAUTHBEARER", "connection.failed.authentication.delay.ms=10",
		"sasl.oauthbearer.jwks.endpoint.url=file://"+file, "klamm.sasl.oauthbearer.allowed.urls=file://"+file, "sasl.oauthbearer.expected.audience=klamm")
	as := func(audience string, left time.Duration) kgo.Opt {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: "k"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		claims := jwt.Claims{Subject: "alice", Audience: jwt.Audience{audience}, IssuedAt: jwt.NewNumericDate(time.Now()), Expiry: jwt.NewNumericDate(time.Now().Add(left))}
		token, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return kgo.SASL(franzoauth.Auth{Token: token}.AsMechanism())
	}
	if err := n.use(as("klamm", time.Hour)); err != nil {
		t.Error(err)
	}
	for what, who := range map[string]kgo.Opt{"for others": as("web", time.Hour), "expired": as("klamm", -time.Hour)} {
		if err := n.use(who); err == nil || !strings.Contains(err.Error(), "invalid_token") {
			t.Errorf("a token %s: %v", what, err)
		}
	}
	eventually(t, "the log says of the token that it is expired", func() bool { return strings.Contains(n.log.String(), "token is expired") })
	if log := n.log.String(); strings.Contains(log, "eyJ") {
		t.Error("the log has a token: ", log)
	}
}
