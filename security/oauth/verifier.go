package oauth

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Config is what a token has to say.
type Config struct {
	Audience []string // one of them; a token that is for somebody is refused where there are none
	Issuer   string   // empty for any
	Skew     time.Duration
	SubClaim string // the claim that names the user
}

// Verifier verifies tokens.
type Verifier struct {
	config Config
	keys   *Keys
}

// NewVerifier returns a verifier.
func NewVerifier(c Config, keys *Keys) *Verifier { return &Verifier{c, keys} }

// algorithms are those that count.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// Verify returns whose a token is, and until when it holds. Its errors do not have the
// token.
func (v *Verifier) Verify(token string, now time.Time) (user string, until time.Time, err error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return "", until, errors.New("it is no signed token of a kind that counts")
	}
	if len(parsed.Headers) != 1 {
		return "", until, errors.New("it has not one signature")
	}
	key, err := v.keys.find(parsed.Headers[0].KeyID)
	if err != nil {
		return "", until, err
	}
	if key.Algorithm != "" && key.Algorithm != parsed.Headers[0].Algorithm {
		return "", until, fmt.Errorf("its key is for %s", key.Algorithm)
	}
	var claims jwt.Claims
	others := map[string]any{}
	if err := parsed.Claims(key, &claims, &others); err != nil {
		return "", until, errors.New("its signature is wrong")
	}
	if err := v.check(&claims, now); err != nil {
		return "", until, err
	}
	user, _ = others[v.config.SubClaim].(string)
	if user == "" {
		return "", until, fmt.Errorf("it has no claim %s that names a user", v.config.SubClaim)
	}
	return user, claims.Expiry.Time(), nil
}

func (v *Verifier) check(claims *jwt.Claims, now time.Time) error {
	switch {
	case claims.Expiry == nil:
		return errors.New("it does not say when it expires")
	case claims.IssuedAt == nil:
		return errors.New("it does not say when it was issued")
	case len(v.config.Audience) == 0 && len(claims.Audience) > 0:
		return errors.New("it is for somebody, and sasl.oauthbearer.expected.audience names nobody")
	}
	return claims.ValidateWithLeeway(jwt.Expected{Issuer: v.config.Issuer, AnyAudience: v.config.Audience, Time: now}, v.config.Skew)
}
