package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

var now = time.Unix(1_700_000_000, 0)

// issuer signs tokens.
type issuer struct {
	t   testing.TB
	id  string
	key *ecdsa.PrivateKey
}

func newIssuer(t testing.TB, id string) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{t, id, key}
}

func (i *issuer) jwks() []byte {
	raw, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &i.key.PublicKey, KeyID: i.id, Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		i.t.Fatal(err)
	}
	return raw
}

func (i *issuer) sign(claims any) string { return sign(i.t, jose.ES256, i.key, i.id, claims) }

func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, id string, claims any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// read returns keys as they are in a file.
func read(t *testing.T, content []byte) *Keys {
	t.Helper()
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	k := NewKeys(KeysConfig{URL: "file://" + file}, nil, slog.New(slog.DiscardHandler))
	if err := k.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

// TestTokens: a token counts that is signed by who may sign, for this broker, and now.
func TestTokens(t *testing.T) {
	good, other := newIssuer(t, "k1"), newIssuer(t, "k1")
	unknown := newIssuer(t, "k2")
	v := NewVerifier(Config{Audience: []string{"kafka", "klamm"}, Issuer: "https://issuer", Skew: 30 * time.Second, SubClaim: "sub"}, read(t, good.jwks()))
	with := func(name string, value any) map[string]any {
		claims := map[string]any{"sub": "alice", "aud": "klamm", "iss": "https://issuer", "iat": now.Unix() - 10, "exp": now.Unix() + 600}
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
		return claims
	}
	valid := good.sign(with("sub", "alice"))
	for name, c := range map[string]struct{ token, want string }{
		"good":                     {valid, ""},
		"just expired":             {good.sign(with("exp", now.Unix()-20)), ""},
		"expired":                  {good.sign(with("exp", now.Unix()-60)), "expired"},
		"without an end":           {good.sign(with("exp", nil)), "does not say when it expires"},
		"without a beginning":      {good.sign(with("iat", nil)), "does not say when it was issued"},
		"of tomorrow":              {good.sign(with("nbf", now.Unix()+600)), "not valid yet"},
		"for others":               {good.sign(with("aud", "web")), "audience"},
		"of others":                {good.sign(with("iss", "https://elsewhere")), "issuer"},
		"of nobody":                {good.sign(with("sub", nil)), "no claim sub"},
		"of a number":              {good.sign(with("sub", 5)), "signature is wrong"},
		"signed by others":         {other.sign(with("sub", "alice")), "signature is wrong"},
		"by an unknown key":        {unknown.sign(with("sub", "alice")), "not among those"},
		"by a secret":              {sign(t, jose.HS256, make([]byte, 32), "k1", with("sub", "alice")), "no signed token"},
		"not signed":               {"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6OTk5OTk5OTk5OX0.", "no signed token"},
		"with another's signature": {valid[:strings.LastIndex(valid, ".")] + good.sign(with("sub", "bob"))[strings.LastIndex(good.sign(with("sub", "bob")), "."):], "signature is wrong"},
		"nothing":                  {"", "no signed token"},
	} {
		t.Run(name, func(t *testing.T) {
			user, until, err := v.Verify(c.token, now)
			if c.want == "" && (err != nil || user != "alice" || until.IsZero()) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%q until %v, %v; want %q", user, until, err, c.want)
			}
		})
	}
	nobody := NewVerifier(Config{SubClaim: "sub"}, read(t, good.jwks()))
	if _, _, err := nobody.Verify(valid, now); err == nil {
		t.Error("a token for somebody was taken where nobody is expected")
	}
}

// TestKeysAreReadAnew: a key that tokens name and that is not there is asked for, and
// what cannot be read leaves what was there.
func TestKeysAreReadAnew(t *testing.T) {
	first, second := newIssuer(t, "k1"), newIssuer(t, "k2")
	var answer atomic.Value
	answer.Store(first.jwks())
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(answer.Load().([]byte)) }))
	defer server.Close()
	k := NewKeys(KeysConfig{URL: server.URL}, server.Client(), slog.New(slog.DiscardHandler))
	if err := k.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := NewVerifier(Config{SubClaim: "sub"}, k)
	token := second.sign(map[string]any{"sub": "bob", "iat": now.Unix(), "exp": now.Unix() + 60})
	if _, _, err := v.Verify(token, now); err == nil || len(k.wanted) != 1 {
		t.Errorf("%v, asked for %d times", err, len(k.wanted))
	}
	answer.Store(second.jwks())
	if err := k.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "{}", `{"keys":[]}`, strings.Repeat(" ", maxKeys+1)} {
		answer.Store([]byte(bad))
		if err := k.read(t.Context()); err == nil {
			t.Errorf("%.20q was taken for keys", bad)
		}
	}
	if user, _, err := v.Verify(token, now); err != nil || user != "bob" {
		t.Error(user, err)
	}
}

// TestNoRedirection: who may name one address may not be sent to another.
func TestNoRedirection(t *testing.T) {
	var asked atomic.Bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(asked.Load() || r.URL.Path == "/inside")
		http.Redirect(w, r, "/inside", http.StatusFound)
	}))
	defer server.Close()
	k := NewKeys(KeysConfig{URL: server.URL}, server.Client(), slog.New(slog.DiscardHandler))
	if err := k.read(t.Context()); err == nil || asked.Load() {
		t.Errorf("%v, asked inside %v", err, asked.Load())
	}
}

// TestRun: it ends with its context.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	k := NewKeys(KeysConfig{URL: "file:///nowhere", Refresh: time.Hour, Backoff: time.Hour, MaxBackoff: time.Hour}, nil, slog.New(slog.DiscardHandler))
	ended := make(chan error)
	go func() { ended <- k.Run(ctx) }()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
