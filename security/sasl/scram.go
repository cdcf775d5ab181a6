package sasl

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"github.com/xdg-go/scram"

	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/transport"
)

// scramHashes are the hash functions of the mechanisms.
var scramHashes = map[security.ScramMechanism]scram.HashGeneratorFcn{
	security.ScramSHA256: scram.SHA256,
	security.ScramSHA512: scram.SHA512,
}

// ErrNotKnown says that it is not known yet who there is. The client is to ask again.
var ErrNotKnown = errors.New("who there is, is not known here yet")

// Lookup finds what is kept of a user's password. Where nothing is, it returns nil, or
// [ErrNotKnown] where there may be something.
type Lookup func(user string) (*security.ScramCredential, error)

// scramServer is SCRAM (RFC 5802, RFC 7677) with one of its hash functions.
type scramServer struct {
	mechanism security.ScramMechanism
	lookup    Lookup
	key       [sha256.Size]byte // of this process alone
}

// NewScram returns a mechanism of SCRAM.
func NewScram(m security.ScramMechanism, lookup Lookup) Mechanism {
	s := &scramServer{mechanism: m, lookup: lookup}
	_, _ = rand.Read(s.key[:]) // never fails
	return s
}

func (s *scramServer) Name() string { return s.mechanism.String() }

func (s *scramServer) Begin() Exchange { return &scramExchange{server: s} }

// scramExchange is two steps: the client says its name, and then proves its password.
type scramExchange struct {
	server       *scramServer
	conversation *scram.ServerConversation
	user         string
	absent       bool // there is no such user, which the client hears at the end
}

// Step implements [Exchange]. That the nonce is the one that was sent, scram checks.
func (e *scramExchange) Step(token []byte, _ time.Time) ([]byte, *Proof, error) {
	first := e.conversation == nil
	if first {
		server, err := scramHashes[e.server.mechanism].NewServer(e.credential)
		if err != nil {
			return nil, nil, err
		}
		e.conversation = server.NewConversation()
	}
	reply, err := e.conversation.Step(string(token))
	switch as := e.conversation.AuthzID(); {
	case err != nil:
		return nil, nil, err
	case as != "" && as != e.conversation.Username():
		return nil, nil, RefusalError("Authentication failed: Client requested an authorization id that is different from username")
	case first:
		return []byte(reply), nil, nil
	case !e.conversation.Valid() || e.absent:
		return nil, nil, errors.New("the password is wrong")
	}
	return []byte(reply), &Proof{Principal: security.Principal{Type: security.Anonymous.Type, Name: e.user}}, nil
}

// credential finds the user's. For one that there is not it makes one up, the same each
// time, so that nobody learns who there is.
func (e *scramExchange) credential(user string) (scram.StoredCredentials, error) {
	c, err := e.server.lookup(user)
	if err != nil {
		return scram.StoredCredentials{}, err
	}
	if c == nil {
		e.absent = true
		c = e.server.invent(user)
	}
	if c.Iterations < security.LeastIterations {
		return scram.StoredCredentials{}, fmt.Errorf("the password of %s is hashed %d times, less than %d", user, c.Iterations, security.LeastIterations)
	}
	e.user = user
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(c.Salt), Iters: int(c.Iterations)}, StoredKey: []byte(c.StoredKey), ServerKey: []byte(c.ServerKey),
	}, nil
}

func (s *scramServer) invent(user string) *security.ScramCredential {
	salt := sumOf(sha256.New, s.key[:], user)
	return &security.ScramCredential{
		Salt: security.Hidden(salt), StoredKey: security.Hidden(make([]byte, scramHashes[s.mechanism]().Size())), Iterations: security.LeastIterations,
	}
}

func sumOf(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// CredentialOf is what is kept of a password that comes salted and hashed so many times.
func CredentialOf(user security.ScramUser, salt, salted []byte, iterations int32) security.ScramCredential {
	h := scramHashes[user.Mechanism]
	stored := h()
	stored.Write(sumOf(h, salted, "Client Key"))
	return security.ScramCredential{
		ScramUser: user, Salt: security.Hidden(salt), StoredKey: security.Hidden(stored.Sum(nil)), ServerKey: security.Hidden(sumOf(h, salted, "Server Key")), Iterations: iterations,
	}
}

// NewCredential is what is kept of a password.
func NewCredential(user security.ScramUser, password transport.Secret, salt []byte, iterations int32) (security.ScramCredential, error) {
	client, err := scramHashes[user.Mechanism].NewClientUnprepped(user.Name, string(password), "") // Kafka's clients do not prepare it either
	if err != nil {
		return security.ScramCredential{}, fmt.Errorf("a password of SCRAM: %w", err)
	}
	c, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: int(iterations)})
	if err != nil {
		return security.ScramCredential{}, fmt.Errorf("a password of SCRAM: %w", err)
	}
	return security.ScramCredential{
		ScramUser: user, Salt: security.Hidden(salt), StoredKey: security.Hidden(c.StoredKey), ServerKey: security.Hidden(c.ServerKey), Iterations: iterations,
	}, nil
}

// NewSalt returns one that nobody has used.
func NewSalt() []byte {
	salt := make([]byte, 24)
	_, _ = rand.Read(salt) // never fails
	return salt
}

// ParseMechanism returns the mechanism of SCRAM of that name, in any case.
func ParseMechanism(name string) (security.ScramMechanism, bool) {
	for m := range scramHashes {
		if strings.EqualFold(m.String(), name) {
			return m, true
		}
	}
	return 0, false
}

// scramClient is the client's side of SCRAM.
type scramClient struct {
	mechanism    security.ScramMechanism
	conversation *scram.ClientConversation
}

// NewScramClient returns who proves by SCRAM that he is of a name.
func NewScramClient(m security.ScramMechanism, name string, password transport.Secret) (Client, error) {
	client, err := scramHashes[m].NewClientUnprepped(name, string(password), "")
	if err != nil {
		return nil, fmt.Errorf("log in by %s: %w", m, err)
	}
	return &scramClient{m, client.WithMinIterations(security.LeastIterations).NewConversation()}, nil
}

func (c *scramClient) Mechanism() string { return c.mechanism.String() }

func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	token, err := c.conversation.Step(string(challenge))
	if err != nil || c.conversation.Done() {
		return nil, err
	}
	return []byte(token), nil
}

func (c *scramClient) Done() bool { return c.conversation.Done() }
