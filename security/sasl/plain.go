package sasl

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/transport"
)

// plain is PLAIN (RFC 4616): a name and a password.
type plain struct {
	key   [sha256.Size]byte // of this process alone
	users map[string][]byte // the passwords, as sum makes them
}

// NewPlain returns PLAIN for those users.
func NewPlain(users map[string]transport.Secret) Mechanism {
	p := &plain{users: map[string][]byte{}}
	_, _ = rand.Read(p.key[:]) // never fails
	for name, password := range users {
		p.users[name] = p.sum([]byte(password))
	}
	return p
}

// sum makes passwords of one length, so that comparing them tells nothing by the
// time it takes.
func (p *plain) sum(password []byte) []byte {
	h := hmac.New(sha256.New, p.key[:])
	h.Write(password)
	return h.Sum(nil)
}

func (*plain) Name() string { return Plain }

func (p *plain) Begin() Exchange { return p }

// Step takes [authzid] NUL name NUL password. There is one step, so the mechanism is
// its own exchange.
func (p *plain) Step(token []byte, _ time.Time) ([]byte, *Proof, error) {
	fields := bytes.SplitN(token, []byte{0}, 4)
	if len(fields) != 3 {
		return nil, nil, fmt.Errorf("a token of PLAIN has %d parts, not 3", len(fields))
	}
	as, name, password := string(fields[0]), string(fields[1]), fields[2]
	switch {
	case name == "":
		return nil, nil, errors.New("no name is given")
	case len(password) == 0:
		return nil, nil, errors.New("no password is given")
	}
	is, known := p.users[name]
	if !hmac.Equal(is, p.sum(password)) || !known {
		return nil, nil, RefusalError("Authentication failed: Invalid username or password")
	}
	if as != "" && as != name {
		return nil, nil, RefusalError("Authentication failed: Client requested an authorization id that is different from username")
	}
	return []byte{}, &Proof{Principal: security.Principal{Type: security.Anonymous.Type, Name: name}}, nil
}

// Client is the client's side of one exchange.
type Client interface {
	Mechanism() string
	// Next returns the token that answers what the server said, which is nil at first. It
	// returns none where the server has said its last word, and that was right.
	Next(challenge []byte) (token []byte, err error)
	// Done reports whether the client has all that it wants of the server.
	Done() bool
}

// plainClient says all at once.
type plainClient struct {
	name     string
	password transport.Secret
	said     bool
}

// NewPlainClient returns who proves by PLAIN that he is of a name.
func NewPlainClient(name string, password transport.Secret) Client {
	return &plainClient{name: name, password: password}
}

func (*plainClient) Mechanism() string { return Plain }

func (c *plainClient) Next([]byte) ([]byte, error) {
	if c.said {
		return nil, errors.New("it asks for more than a name and a password")
	}
	c.said = true
	return []byte("\x00" + c.name + "\x00" + string(c.password)), nil
}

func (c *plainClient) Done() bool { return c.said }
