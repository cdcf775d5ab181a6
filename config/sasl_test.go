package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klamm-io/klamm/security/sasl"
)

const plainUsers = sasl.PlainModule + ` required username="node" password="node-secret" user_node="node-secret" user_alice="s, e=c;ret";`

// TestSASL: what is said of one mechanism at a listener goes before what is said of
// the listener, and that before what is said of all.
func TestSASL(t *testing.T) {
	b, warnings, err := Load("", nil, []string{
		"listeners=IN://a:1,OUT://a:2", "listener.security.protocol.map=IN:PLAINTEXT,OUT:SASL_PLAINTEXT", "sasl.enabled.mechanisms=GSSAPI",
		"listener.name.out.sasl.enabled.mechanisms=PLAIN", "listener.name.out.plain.sasl.jaas.config=" + plainUsers,
		"connections.max.reauth.ms=1000", "listener.name.out.plain.connections.max.reauth.ms=2000", "listener.name.out.sasl.server.max.receive.size=1000",
	})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	s := b.SASL["OUT"]
	if len(b.SASL) != 1 || len(s.Mechanisms) != 1 || s.MaxReceive != 1000 || s.Login != nil || b.Protocol("OUT") != SASLPlaintext || b.Protocol("IN") != Plaintext {
		t.Fatalf("%+v", b.SASL)
	}
	m := s.Mechanisms[0]
	if m.Name != sasl.Plain || m.MaxReauth != 2*time.Second || len(m.Users) != 2 || m.Users["alice"] != "s, e=c;ret" {
		t.Errorf("%+v", m)
	}
	if text := fmt.Sprintf("%+v", s); strings.Contains(text, "ret") {
		t.Error("a password is printed:", text)
	}
}

// TestSASLRefused: what could leave a listener open, or without a way in, is no
// configuration, and says what to do. No password stands in an error.
func TestSASLRefused(t *testing.T) {
	out := []string{"listeners=SASL_PLAINTEXT://a:1", "sasl.enabled.mechanisms=PLAIN"}
	const jaas = "listener.name.sasl_plaintext.plain.sasl.jaas.config="
	node := []string{"process.roles=broker,controller", "node.id=1", "controller.listener.names=CONTROLLER", "controller.quorum.voters=1@a:2",
		"listeners=SASL_PLAINTEXT://a:1,CONTROLLER://a:2", "security.inter.broker.protocol=SASL_PLAINTEXT", "sasl.enabled.mechanisms=PLAIN", jaas + plainUsers}
	for _, c := range []struct {
		want string
		base []string
		sets []string
	}{
		{"GSSAPI at the listener SASL_PLAINTEXT is not served; there is OAUTHBEARER, PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", out, []string{"sasl.enabled.mechanisms=GSSAPI"}},
		{"has none for the listener", out, []string{"sasl.enabled.mechanisms="}},
		{"has the mechanism PLAIN and no users: name them in listener.name.sasl_plaintext.plain.sasl.jaas.config", out, nil},
		{"name the listener and the mechanism that it is for, as in listener.name.name.plain.sasl.jaas.config", out, []string{jaas + plainUsers, "sasl.jaas.config=" + plainUsers}},
		{"of PLAIN the module is " + sasl.PlainModule, out, []string{jaas + `a.Module required user_a="swordfish";`}},
		{"a quotation is not closed", out, []string{jaas + sasl.PlainModule + ` required user_a="swordfish;`}},
		{"the option user_a has no value", out, []string{jaas + sasl.PlainModule + ` required user_a "swordfish";`}},
		{"does not end in a semicolon", out, []string{jaas + sasl.PlainModule + ` required user_a="swordfish"`}},
		{"only one module is taken", out, []string{jaas + plainUsers + plainUsers}},
		{"not required, requisite, sufficient or optional", out, []string{jaas + sasl.PlainModule + ` perhaps user_a="swordfish";`}},
		{"tokens without a signature are not taken", out, []string{"sasl.enabled.mechanisms=OAUTHBEARER"}},
		{"http://a/keys is neither https://… nor file:///…", out, []string{"sasl.enabled.mechanisms=OAUTHBEARER", "sasl.oauthbearer.jwks.endpoint.url=http://a/keys"}},
		{"add it to klamm.sasl.oauthbearer.allowed.urls", out, []string{"sasl.enabled.mechanisms=OAUTHBEARER", "sasl.oauthbearer.jwks.endpoint.url=https://a/keys", "klamm.sasl.oauthbearer.allowed.urls=https://a"}},
		{"for configuration sasl.server.callback.handler.class", out, []string{"listener.name.a.oauthbearer.sasl.server.callback.handler.class=a.B"}},
		{"sasl.mechanism.inter.broker.protocol is GSSAPI, which is not one of", node, nil},
		{"nodes reach each other by the listener CONTROLLER, which asks nobody who he is", node, []string{"sasl.mechanism.inter.broker.protocol=PLAIN"}},
		{`want username="NAME" password="PASSWORD"`, node, []string{"sasl.mechanism.inter.broker.protocol=PLAIN", jaas + sasl.PlainModule + ` required user_a="swordfish";`}},
		{"sasl.mechanism.controller.protocol is GSSAPI", node, []string{"sasl.mechanism.inter.broker.protocol=PLAIN",
			"listener.security.protocol.map=SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT", "listener.name.controller.plain.sasl.jaas.config=" + plainUsers}},
	} {
		_, _, err := Load("", nil, append(append([]string{}, c.base...), c.sets...))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %q", c.sets, err, c.want)
		} else if strings.Contains(err.Error(), "swordfish") || strings.Contains(err.Error(), "node-secret") {
			t.Errorf("an error has a password: %v", err)
		}
	}
}
