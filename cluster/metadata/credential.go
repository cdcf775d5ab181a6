package metadata

import (
	"fmt"
	"iter"

	"github.com/klamm-io/klamm/security"
)

// ScramCredentialSet gives a user a password for a mechanism, or another one.
type ScramCredentialSet struct{ Credential security.ScramCredential }

// ScramCredentialRemoved takes a user's password for a mechanism away.
type ScramCredentialRemoved struct{ User security.ScramUser }

func (*ScramCredentialSet) kind() recordType     { return typeScramCredentialSet }
func (*ScramCredentialRemoved) kind() recordType { return typeScramCredentialRemoved }

func (r *ScramCredentialSet) encode(e *encoder) {
	c := &r.Credential
	e.scramUser(c.ScramUser)
	e.string(string(c.Salt))
	e.string(string(c.StoredKey))
	e.string(string(c.ServerKey))
	e.int32(c.Iterations)
}

func (r *ScramCredentialSet) decode(d *decoder) {
	c := &r.Credential
	c.ScramUser = d.scramUser()
	c.Salt = security.Hidden(d.string())
	c.StoredKey = security.Hidden(d.string())
	c.ServerKey = security.Hidden(d.string())
	c.Iterations = d.int32()
}

func (r *ScramCredentialRemoved) encode(e *encoder) { e.scramUser(r.User) }
func (r *ScramCredentialRemoved) decode(d *decoder) { r.User = d.scramUser() }

func (e *encoder) scramUser(u security.ScramUser) {
	e.string(u.Name)
	e.buf = append(e.buf, byte(u.Mechanism))
}

func (d *decoder) scramUser() security.ScramUser {
	name := d.string()
	return security.ScramUser{Name: name, Mechanism: security.ScramMechanism(d.byte())}
}

func (r *ScramCredentialSet) apply(c *change) error {
	c.scram = c.scram.put(r.Credential.ScramUser, &r.Credential)
	return nil
}

func (r *ScramCredentialRemoved) apply(c *change) error {
	if _, found := c.scram.get(r.User); !found {
		return fmt.Errorf("user %s has no credential of %s", r.User.Name, r.User.Mechanism)
	}
	c.scram = c.scram.delete(r.User)
	return nil
}

// ScramCredential returns what is kept of a user's password.
func (i *Image) ScramCredential(u security.ScramUser) (*security.ScramCredential, bool) {
	return i.scram.get(u)
}

// ScramCredentials yields all of them, those of one user side by side.
func (i *Image) ScramCredentials() iter.Seq[*security.ScramCredential] {
	return values(i.scram.all())
}

func (i *Image) yieldCredentials(yield func(Record) bool) bool {
	for c := range i.ScramCredentials() {
		if !yield(&ScramCredentialSet{*c}) {
			return false
		}
	}
	return true
}
