package sasl

import (
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/klamm-io/klamm/security"
)

// OAuthBearer is the mechanism of tokens that others issue (RFC 7628), and
// OAuthBearerModule its login module.
const (
	OAuthBearer       = "OAUTHBEARER"
	OAuthBearerModule = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
)

// Verify tells whose a token is, and until when it holds. It returns [ErrNotKnown] while
// the keys are not known.
type Verify func(token string, now time.Time) (user string, until time.Time, err error)

// oauthBearer is OAUTHBEARER.
type oauthBearer struct{ verify Verify }

// NewOAuthBearer returns OAUTHBEARER.
func NewOAuthBearer(verify Verify) Mechanism { return &oauthBearer{verify} }

func (*oauthBearer) Name() string { return OAuthBearer }

func (o *oauthBearer) Begin() Exchange { return &bearerExchange{verify: o.verify} }

// bearerExchange is one step, or two: who shows a bad token is told so, and says that
// he has understood.
type bearerExchange struct {
	verify Verify
	failed error // why the token is bad
}

// invalidToken is what is told of a bad token.
const invalidToken = `{"status":"invalid_token"}`

// Step implements [Exchange].
func (e *bearerExchange) Step(message []byte, now time.Time) ([]byte, *Proof, error) {
	if e.failed != nil {
		return nil, nil, &failure{told: invalidToken, why: e.failed}
	}
	as, token, err := parseBearer(message)
	if err != nil {
		return nil, nil, err
	}
	user, until, err := e.verify(token, now)
	switch {
	case errors.Is(err, ErrNotKnown):
		return nil, nil, err
	case err != nil:
		e.failed = err                        // the client hears of it first, and answers
		return []byte(invalidToken), nil, nil //nolint:nilerr // see above
	}
	if as != "" && as != user {
		return nil, nil, RefusalError("Authentication failed: Client requested an authorization id that is different from the token's principal name")
	}
	return []byte{}, &Proof{Principal: security.Principal{Type: security.Anonymous.Type, Name: user}, Until: until}, nil
}

var (
	bearerToken   = regexp.MustCompile(`^(?i:bearer) +([-_.a-zA-Z0-9]+)$`)
	extensionName = regexp.MustCompile(`^[A-Za-z]+$`)
	unescapeName  = strings.NewReplacer("=2C", ",", "=3D", "=")
)

// parseBearer reads n,[a=NAME],^Aauth=Bearer TOKEN^A[KEY=VALUE^A]…^A.
func parseBearer(message []byte) (as, token string, err error) {
	head, rest, found := strings.Cut(string(message), ",\x01")
	rest, ended := strings.CutSuffix(rest, "\x01\x01")
	head, plain := strings.CutPrefix(head, "n,")
	if !found || !ended || !plain || strings.Contains(head, ",") {
		return "", "", errors.New("a message of OAUTHBEARER is malformed")
	}
	if head != "" {
		if as, found = strings.CutPrefix(head, "a="); !found || as == "" {
			return "", "", errors.New("the authorization id is malformed")
		}
		as = unescapeName.Replace(as)
	}
	for pair := range strings.SplitSeq(rest, "\x01") {
		name, value, found := strings.Cut(pair, "=")
		switch {
		case !found || !extensionName.MatchString(name) || value == "":
			return "", "", errors.New("an extension is malformed")
		case name != "auth":
			continue
		case token != "":
			return "", "", errors.New("there are two tokens")
		}
		m := bearerToken.FindStringSubmatch(value)
		if m == nil {
			return "", "", errors.New("there is no bearer token")
		}
		token = m[1]
	}
	if token == "" {
		return "", "", errors.New("there is no token")
	}
	return as, token, nil
}
