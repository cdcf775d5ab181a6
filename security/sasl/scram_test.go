package sasl

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/transport"
)

// scramOf offers a mechanism of SCRAM with one user, alice, whose password is secret.
func scramOf(t testing.TB, m security.ScramMechanism) *Server {
	t.Helper()
	alice, err := NewCredential(security.ScramUser{Name: "alice", Mechanism: m}, "secret", []byte("a salt"), security.LeastIterations)
	if err != nil {
		t.Fatal(err)
	}
	return NewServer(Config{Offers: []Offer{{Mechanism: NewScram(m, func(user string) (*security.ScramCredential, error) {
		switch user {
		case "alice":
			return &alice, nil
		case "weak":
			return &security.ScramCredential{Iterations: 1}, nil
		case "later":
			return nil, ErrNotKnown
		}
		return nil, nil
	})}}})
}

// scramTokens lets a client talk with a server, whose tokens edit may change, until
// either has had enough.
func scramTokens(s *Server, client Client, edit func(string) string) (*Conversation, error) {
	c, now := s.Converse(), time.Unix(0, 0)
	if err := c.Handshake(1, client.Mechanism(), now); err != nil {
		return c, err
	}
	var challenge []byte
	for {
		token, err := client.Next(challenge)
		if err != nil || token == nil {
			return c, err
		}
		if challenge, _, err = c.Authenticate([]byte(edit(string(token))), now); err != nil {
			return c, err
		}
	}
}

// TestScram: the client knows the server, too, and whoever is none of them fails alike.
func TestScram(t *testing.T) {
	asIs := func(s string) string { return s }
	for _, m := range []security.ScramMechanism{security.ScramSHA256, security.ScramSHA512} {
		server := scramOf(t, m)
		for _, c := range []struct {
			name, user, password string
			edit                 func(string) string
			known                bool
		}{
			{"the right password", "alice", "secret", asIs, true},
			{"a wrong password", "alice", "Secret", asIs, false},
			{"a user that there is not", "bob", "secret", asIs, false},
			{"hashed too few times", "weak", "secret", asIs, false},
			{"as oneself", "alice", "secret", func(s string) string { return strings.Replace(s, "n,,n", "n,a=alice,n", 1) }, false}, // the proof is of what was said
			{"as another", "alice", "secret", func(s string) string { return strings.Replace(s, "n,,n", "n,a=bob,n", 1) }, false},
			{"another nonce", "alice", "secret", func(s string) string { return strings.Replace(s, "c=biws,r=", "c=biws,r=x", 1) }, false},
			{"no nonce", "alice", "secret", func(s string) string { return strings.Replace(s, ",r=", ",", 1) }, false},
			{"an extension that must be known", "alice", "secret", func(s string) string { return strings.Replace(s, "n,,n", "n,,m=x,n", 1) }, false},
			{"channel binding", "alice", "secret", func(s string) string { return strings.Replace(s, "n,,n", "p=tls-unique,,n", 1) }, false},
		} {
			client, err := NewScramClient(m, c.user, transport.Secret(c.password))
			if err != nil {
				t.Fatal(err)
			}
			conversation, err := scramTokens(server, client, c.edit)
			if conversation.Known() != c.known || c.known != (err == nil) {
				t.Errorf("%s, %s: known %v, %v", m, c.name, conversation.Known(), err)
			}
			if c.known && conversation.Principal() != (security.Principal{Type: "User", Name: "alice"}) {
				t.Errorf("%s: %s", m, conversation.Principal())
			}
			if err != nil && !errors.Is(err, kerr.SaslAuthenticationFailed) {
				t.Errorf("%s, %s: %v", m, c.name, err)
			}
		}
		client, _ := NewScramClient(m, "later", "secret")
		if _, err := scramTokens(server, client, asIs); !errors.Is(err, ErrNotKnown) || errors.Is(err, kerr.SaslAuthenticationFailed) {
			t.Errorf("before anybody is known: %v", err)
		}
	}
}

// TestNobodyLearnsWhoThereIs: a user that there is not has a salt, the same each time.
func TestNobodyLearnsWhoThereIs(t *testing.T) {
	server := scramOf(t, security.ScramSHA256)
	salt := func(user string) string {
		c := server.Converse()
		_ = c.Handshake(1, "SCRAM-SHA-256", time.Time{})
		reply, _, err := c.Authenticate([]byte("n,,n="+user+",r=nonce"), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(reply), ",s=")
		return after
	}
	if bob := salt("bob"); bob != salt("bob") || bob == salt("carol") || !strings.HasSuffix(bob, ",i=4096") {
		t.Errorf("bob has the salt %s", bob)
	}
}

// FuzzScram: whatever is said, nobody is known who has not said a password.
func FuzzScram(f *testing.F) {
	f.Add("n,,n=alice,r=abc", "c=biws,r=abc,p=AAAA")
	f.Add("y,a=alice,n=alice,r=abc,tokenauth=true", "c=eSxhPWFsaWNlLA==,r=abc,p=")
	f.Add("p=tls-unique,,n=bob,r=", "")
	server := scramOf(f, security.ScramSHA256)
	f.Fuzz(func(t *testing.T, first, second string) {
		c := server.Converse()
		_ = c.Handshake(1, "SCRAM-SHA-256", time.Time{})
		for _, token := range []string{first, second} {
			if _, _, err := c.Authenticate([]byte(token), time.Time{}); err != nil {
				break
			}
		}
		if c.Known() {
			t.Fatal("somebody is known")
		}
	})
}
