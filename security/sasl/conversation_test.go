package sasl

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security/transport"
)

const (
	versionsKey     = int16(kmsg.ApiVersions)
	handshakeKey    = int16(kmsg.SASLHandshake)
	authenticateKey = int16(kmsg.SASLAuthenticate)
	metadataKey     = int16(kmsg.Metadata)
)

// other is a second mechanism: its token is the user's name, and how long the proof
// holds.
type other struct{}

func (other) Name() string    { return "OTHER" }
func (other) Begin() Exchange { return other{} }
func (other) Step(token []byte, now time.Time) ([]byte, *Proof, error) {
	name, left, found := strings.Cut(string(token), " ")
	if !found {
		return []byte("more"), nil, nil
	}
	d, err := time.ParseDuration(left)
	if err != nil {
		return nil, nil, err
	}
	p := &Proof{Until: now.Add(d)}
	p.Principal.Type, p.Principal.Name = "User", name
	return nil, p, nil
}

func newTestServer(maxSession time.Duration) *Server {
	return NewServer(Config{Offers: []Offer{
		{Mechanism: NewPlain(map[string]transport.Secret{"alice": "secret", "bob": "secret"}), MaxSession: maxSession}, {Mechanism: other{}},
	}, MaxReceive: 1000})
}

// step is one line of a conversation: what the client says, and in short what becomes
// of it.
type step struct{ says, want string }

// play says a line: "at D" lets the time be D after the beginning, "ask KEY" a request
// of that key, "hand V MECHANISM" a handshake, "token T" a token whose slashes are
// NUL.
func play(c *Conversation, now *time.Time, begin time.Time, says string) string {
	verb, rest, _ := strings.Cut(says, " ")
	switch verb {
	case "at":
		d, _ := time.ParseDuration(rest)
		*now = begin.Add(d)
		return ""
	case "ask":
		var key int16
		fmt.Sscan(rest, &key)
		return outcome(c, c.Admit(key, *now), "")
	case "hand":
		if err := c.Admit(handshakeKey, *now); err != nil {
			return outcome(c, err, "")
		}
		version, mechanism, _ := strings.Cut(rest, " ")
		return outcome(c, c.Handshake(int16(version[0]-'0'), mechanism, *now), "")
	case "token":
		if !c.Bare() {
			if err := c.Admit(authenticateKey, *now); err != nil {
				return outcome(c, err, "")
			}
		}
		reply, session, err := c.Authenticate([]byte(strings.ReplaceAll(rest, "/", "\x00")), *now)
		said := ""
		if err == nil {
			said = fmt.Sprintf(" %q", reply)
			if c.Known() {
				said = fmt.Sprintf(" %s for %s", c.Principal(), session)
			}
		}
		return outcome(c, err, said)
	}
	panic(says)
}

func outcome(c *Conversation, err error, said string) string {
	var coded *kerr.Error
	switch {
	case err == nil:
		return "ok" + said
	case errors.As(err, &coded):
		return fmt.Sprintf("%s %s", coded.Message, *protocol.ErrorMessage(err))
	}
	return err.Error()
}

// TestConversations: what is answered to whom, as Kafka does it.
func TestConversations(t *testing.T) {
	const (
		invalid = "SASL_AUTHENTICATION_FAILED Authentication failed: Invalid username or password"
		generic = "SASL_AUTHENTICATION_FAILED Authentication failed during authentication due to invalid credentials with SASL mechanism PLAIN"
		illegal = "ILLEGAL_SASL_STATE SaslAuthenticate request received after successful authentication"
		state   = "ILLEGAL_SASL_STATE Request is not valid given the current SASL state."
	)
	for name, c := range map[string]struct {
		session time.Duration
		steps   []step
	}{
		"a name and a password":      {0, []step{{"ask 18", "ok"}, {"hand 1 PLAIN", "ok"}, {"token /alice/secret", "ok User:alice for 0s"}, {"ask 3", "ok"}}},
		"bare tokens":                {0, []step{{"hand 0 PLAIN", "ok"}, {"token /alice/secret", "ok User:alice for 0s"}, {"ask 3", "ok"}}},
		"as oneself":                 {0, []step{{"hand 1 PLAIN", "ok"}, {"token alice/alice/secret", "ok User:alice for 0s"}}},
		"as another":                 {0, []step{{"hand 1 PLAIN", "ok"}, {"token bob/alice/secret", "SASL_AUTHENTICATION_FAILED Authentication failed: Client requested an authorization id that is different from username"}}},
		"a wrong password":           {0, []step{{"hand 1 PLAIN", "ok"}, {"token /alice/public", invalid}, {"ask 3", "ILLEGAL_SASL_STATE unexpected request Metadata during the SASL authentication"}}},
		"a user that there is not":   {0, []step{{"hand 1 PLAIN", "ok"}, {"token /carol/secret", invalid}, {"token /alice/secret", "ILLEGAL_SASL_STATE unexpected request SASLAuthenticate during the SASL authentication"}}},
		"no password":                {0, []step{{"hand 1 PLAIN", "ok"}, {"token /alice/", generic}}},
		"no name":                    {0, []step{{"hand 1 PLAIN", "ok"}, {"token //secret", generic}}},
		"too few parts":              {0, []step{{"hand 1 PLAIN", "ok"}, {"token alice/secret", generic}}},
		"too many parts":             {0, []step{{"hand 1 PLAIN", "ok"}, {"token /alice/secret/more", generic}}},
		"nothing":                    {0, []step{{"hand 1 PLAIN", "ok"}, {"token ", generic}}},
		"a mechanism not offered":    {0, []step{{"hand 1 SCRAM-SHA-256", `UNSUPPORTED_SASL_MECHANISM the client asks for the SASL mechanism "SCRAM-SHA-256", and [PLAIN OTHER] are offered`}, {"hand 1 PLAIN", "ILLEGAL_SASL_STATE unexpected request SASLHandshake during the SASL authentication"}}},
		"without a word":             {0, []step{{"ask 3", "ILLEGAL_SASL_STATE unexpected request Metadata during the SASL handshake"}}},
		"without a handshake":        {0, []step{{"token /alice/secret", "ILLEGAL_SASL_STATE unexpected request SASLAuthenticate during the SASL handshake"}}},
		"not what was begun":         {0, []step{{"hand 1 PLAIN", "ok"}, {"ask 3", "ILLEGAL_SASL_STATE unexpected request Metadata during the SASL authentication"}}},
		"versions after a handshake": {0, []step{{"hand 1 PLAIN", "ok"}, {"ask 18", "ILLEGAL_SASL_STATE unexpected request ApiVersions during the SASL authentication"}}},
		"a request after bare":       {0, []step{{"hand 0 PLAIN", "ok"}, {"ask 36", "ILLEGAL_SASL_STATE unexpected request SASLAuthenticate during the SASL authentication"}}},
		"a token too many":           {0, []step{{"hand 1 PLAIN", "ok"}, {"token /alice/secret", "ok User:alice for 0s"}, {"token /alice/secret", illegal}, {"ask 3", "ok"}}},
		"a handshake too many":       {0, []step{{"hand 1 PLAIN", "ok"}, {"token /alice/secret", "ok User:alice for 0s"}, {"hand 1 PLAIN", state}, {"ask 3", "ok"}}},

		"a session that ends": {time.Minute, []step{{"hand 1 PLAIN", "ok"}, {"token /alice/secret", "ok User:alice for 1m0s"}, {"at 1m", ""}, {"ask 3", "ok"}, {"at 61s", ""},
			{"ask 3", "the session has ended, and the client did not authenticate again"}, {"hand 1 PLAIN", "ILLEGAL_SASL_STATE unexpected request SASLHandshake during the SASL authentication"}}},
		"a session that goes on": {time.Minute, []step{{"hand 1 PLAIN", "ok"}, {"token /alice/secret", "ok User:alice for 1m0s"}, {"at 2m", ""},
			{"hand 1 PLAIN", "ok"}, {"token /alice/secret", "ok User:alice for 1m0s"}, {"at 3m", ""}, {"ask 3", "ok"}}},
		"again and again": {time.Minute, []step{{"hand 1 PLAIN", "ok"}, {"token /alice/secret", "ok User:alice for 1m0s"}, {"at 1s", ""},
			{"hand 1 PLAIN", "ok"}, {"token /alice/secret", "ok User:alice for 1m0s"}, {"at 1400ms", ""}, {"hand 1 PLAIN", state}, {"at 1500ms", ""}, {"hand 1 PLAIN", "ok"}}},
		"something else in between": {time.Minute, []step{{"hand 1 PLAIN", "ok"}, {"token /alice/secret", "ok User:alice for 1m0s"}, {"at 1s", ""},
			{"hand 1 PLAIN", "ok"}, {"ask 3", "ILLEGAL_SASL_STATE unexpected request Metadata during the SASL authentication"}}},
		"again as another": {time.Minute, []step{{"hand 1 PLAIN", "ok"}, {"token /alice/secret", "ok User:alice for 1m0s"}, {"at 1s", ""},
			{"hand 1 PLAIN", "ok"}, {"token /bob/secret", "SASL_AUTHENTICATION_FAILED Cannot change principals during re-authentication from User:alice: User:bob"}}},
		"again by another mechanism": {time.Minute, []step{{"hand 1 PLAIN", "ok"}, {"token /alice/secret", "ok User:alice for 1m0s"}, {"at 1s", ""},
			{"hand 1 OTHER", "ok"}, {"token alice 1h", "SASL_AUTHENTICATION_FAILED SASL mechanism 'OTHER' requested by client is not supported for re-authentication of mechanism 'PLAIN'"}}},
		"again and wrong": {time.Minute, []step{{"hand 1 PLAIN", "ok"}, {"token /alice/secret", "ok User:alice for 1m0s"}, {"at 1s", ""},
			{"hand 1 PLAIN", "ok"}, {"token ", "SASL_AUTHENTICATION_FAILED Authentication failed during re-authentication due to invalid credentials with SASL mechanism PLAIN"}}},
		"a proof that expires": {0, []step{{"hand 1 OTHER", "ok"}, {"token alice", `ok "more"`}, {"token alice 1h", "ok User:alice for 1h0m0s"}, {"at 61m", ""},
			{"ask 3", "the session has ended, and the client did not authenticate again"}}},
		"a proof that has expired": {0, []step{{"hand 1 OTHER", "ok"}, {"token alice -1h", "ok User:alice for 0s"}, {"at 1ms", ""}, {"ask 3", "the session has ended, and the client did not authenticate again"}}},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Unix(1_000_000, 0)
			now, conversation := begin, newTestServer(c.session).Converse()
			for _, s := range c.steps {
				if got := play(conversation, &now, begin, s.says); got != s.want {
					t.Fatalf("%s: %s\nwant %s", s.says, got, s.want)
				}
			}
		})
	}
}

// TestKeptSessions: those of nodes do not end.
func TestKeptSessions(t *testing.T) {
	c, now := newTestServer(time.Minute).Converse(), time.Unix(0, 0)
	_ = c.Handshake(1, Plain, now)
	if _, _, err := c.Authenticate([]byte("\x00alice\x00secret"), now); err != nil {
		t.Fatal(err)
	}
	c.Keep()
	if err := c.Admit(metadataKey, now.Add(time.Hour)); err != nil {
		t.Error(err)
	}
}

// TestTheLogKnowsMore: why a client is refused stands in the log, and not in what it
// is told.
func TestTheLogKnowsMore(t *testing.T) {
	c := newTestServer(0).Converse()
	_ = c.Handshake(1, Plain, time.Now())
	_, _, err := c.Authenticate([]byte("\x00\x00swordfish"), time.Now())
	if told := *protocol.ErrorMessage(err); strings.Contains(told, "no name") {
		t.Error("told:", told)
	}
	if logged := Explain(err).Error(); !strings.Contains(logged, "no name is given") || strings.Contains(logged, "swordfish") {
		t.Error("logged:", logged)
	}
}

// FuzzConversation: whatever comes in whatever order, nobody is known who has not said
// a password, and nothing panics.
func FuzzConversation(f *testing.F) {
	f.Add([]byte("\x12\x11\x01\x24\x0c\x00alice\x00public"))
	f.Add([]byte("\x11\x00\xff\x0d\x00alice\x00secre"))
	f.Add([]byte("\x11\x02\x24\x05alice\x24\x01 "))
	f.Fuzz(func(t *testing.T, script []byte) {
		server := NewServer(Config{Offers: []Offer{{Mechanism: NewPlain(map[string]transport.Secret{"alice": "a password that no fuzzer finds, 8f21"}), MaxSession: time.Minute}}})
		c, now := server.Converse(), time.Unix(0, 0)
		for len(script) > 0 {
			key := int16(script[0])
			script = script[1:]
			if !c.Bare() && c.Admit(key, now) != nil {
				continue
			}
			switch {
			case c.Bare() || key == authenticateKey:
				n := 0
				if len(script) > 0 {
					n = min(int(script[0]), len(script)-1)
					script = script[1:]
				}
				_, _, _ = c.Authenticate(script[:n], now)
				script = script[n:]
			case key == handshakeKey && len(script) > 0:
				_ = c.Handshake(int16(script[0]&1), []string{Plain, "NONE"}[script[0]>>1&1], now)
				script = script[1:]
			}
			if c.Known() {
				t.Fatal("somebody is known")
			}
		}
	})
}
