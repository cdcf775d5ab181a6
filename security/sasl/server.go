package sasl

import (
	"fmt"
	"slices"
	"time"

	"github.com/klamm-io/klamm/security"
)

// The names of mechanisms.
const (
	Plain  = "PLAIN"
	GSSAPI = "GSSAPI" // Kerberos, which is not served
)

// Mechanism is one way to prove who one is. It is safe for concurrent use.
type Mechanism interface {
	Name() string
	// Begin returns the server's side of one exchange.
	Begin() Exchange
}

// Exchange is one client's way through a mechanism.
type Exchange interface {
	// Step takes a token of the client's, and returns what it is told and, with the last
	// one, what it has proved. token is valid until Step returns. After an error the
	// exchange has failed; only of a [RefusalError] is the client told more than that.
	Step(token []byte, now time.Time) (reply []byte, proved *Proof, err error)
}

// Proof is what an exchange came to.
type Proof struct {
	Principal security.Principal
	Until     time.Time // when what proves it expires, zero for never
}

// RefusalError is why an exchange failed, in words that the client is told.
type RefusalError string

// Error returns the words.
func (r RefusalError) Error() string { return string(r) }

// Offer is a mechanism at a listener.
type Offer struct {
	Mechanism
	// MaxSession is how long a client may go on before it has to authenticate again
	// (connections.max.reauth.ms), 0 for as long as its proof holds.
	MaxSession time.Duration
}

// Config is how a [Server] is set.
type Config struct {
	Offers []Offer
	// MaxReceive bounds a request of a client that is not known (sasl.server.max.receive.size).
	MaxReceive int
	// FailureDelay is how long who fails waits to hear of it
	// (connection.failed.authentication.delay.ms).
	FailureDelay time.Duration
}

// Server is what a listener offers.
type Server struct{ config Config }

// NewServer returns a server.
func NewServer(c Config) *Server { return &Server{c} }

// Converse begins with a new connection.
func (s *Server) Converse() *Conversation { return &Conversation{server: s} }

// Mechanisms are the names of those that are offered, in their order.
func (s *Server) Mechanisms() []string {
	var names []string
	for _, o := range s.config.Offers {
		names = append(names, o.Name())
	}
	return names
}

func (s *Server) offer(mechanism string) (Offer, bool) {
	at := slices.IndexFunc(s.config.Offers, func(o Offer) bool { return o.Name() == mechanism })
	if at < 0 {
		return Offer{}, false
	}
	return s.config.Offers[at], true
}

// String names the mechanisms, for logs.
func (s *Server) String() string { return fmt.Sprint(s.Mechanisms()) }
