package sasl

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol"
)

// bearers offers OAUTHBEARER, whose one token is of alice.
func bearers() *Server {
	return NewServer(Config{Offers: []Offer{{Mechanism: NewOAuthBearer(func(token string, now time.Time) (string, time.Time, error) {
		switch token {
		case "tok.en":
			return "al,ice", now.Add(time.Hour), nil
		case "early":
			return "", now, ErrNotKnown
		}
		return "", now, errors.New("it is no token of ours")
	})}}})
}

// TestBearers: who shows a good token is known for as long as it holds.
func TestBearers(t *testing.T) {
	for message, want := range map[string]string{
		"n,,^auth=Bearer tok.en^^":                    "known",
		"n,,^auth=bearer  tok.en^traceId=a b^^":       "known",
		"n,a=al=2Cice,^auth=Bearer tok.en^^":          "known",
		"n,a=bob,^auth=Bearer tok.en^^":               "authorization id that is different",
		"n,,^auth=Bearer other^^":                     "told",
		"n,,^auth=Basic tok.en^^":                     "invalid credentials",
		"n,,^auth=Bearer tok.en^":                     "invalid credentials",
		"n,,^auth=Bearer tok.en^auth=Bearer tok.en^^": "invalid credentials",
		"n,,^traceId=1^^":                             "invalid credentials",
		"n,,^1=1^auth=Bearer tok.en^^":                "invalid credentials",
		"n,x=1,^auth=Bearer tok.en^^":                 "invalid credentials",
		"y,,^auth=Bearer tok.en^^":                    "invalid credentials",
		"":                                            "invalid credentials",
	} {
		c, now := bearers().Converse(), time.Unix(0, 0)
		_ = c.Handshake(1, OAuthBearer, now)
		reply, session, err := c.Authenticate([]byte(strings.ReplaceAll(message, "^", "\x01")), now)
		switch {
		case want == "known":
			if err != nil || !c.Known() || session != time.Hour || c.Principal().Name != "al,ice" {
				t.Errorf("%s: %v, %s for %s", message, err, c.Principal(), session)
			}
		case want == "told":
			if err != nil || c.Known() || string(reply) != invalidToken {
				t.Errorf("%s: %v, %s", message, err, reply)
			}
			_, _, err = c.Authenticate([]byte{1}, now)
			if !errors.Is(err, kerr.SaslAuthenticationFailed) || *protocol.ErrorMessage(err) != invalidToken || !strings.Contains(Explain(err).Error(), "no token of ours") {
				t.Errorf("%s: %v", message, err)
			}
		case err == nil || !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v, want %s", message, err, want)
		}
	}
	c := bearers().Converse()
	_ = c.Handshake(1, OAuthBearer, time.Unix(0, 0))
	if _, _, err := c.Authenticate([]byte("n,,\x01auth=Bearer early\x01\x01"), time.Unix(0, 0)); !errors.Is(err, ErrNotKnown) {
		t.Error(err)
	}
}

// FuzzBearer: whatever is said, nobody is known without a token.
func FuzzBearer(f *testing.F) {
	f.Add("n,a=a,\x01auth=Bearer x\x01host=h\x01\x01")
	f.Fuzz(func(t *testing.T, message string) {
		if strings.Contains(message, "tok.en") {
			return
		}
		c := bearers().Converse()
		_ = c.Handshake(1, OAuthBearer, time.Time{})
		if _, _, err := c.Authenticate([]byte(message), time.Time{}); err == nil && c.Known() {
			t.Fatal("somebody is known")
		}
	})
}
