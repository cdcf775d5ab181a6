package format

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/sasl"
	"github.com/klamm-io/klamm/security/transport"
	"github.com/klamm-io/klamm/storage/disk"
)

// firstCredentials is the file that holds the passwords of the first users of a cluster.
var firstCredentials = list[security.ScramCredential]{
	file: "bootstrap.scram", version: "0", what: "passwords", line: credentialLine, parse: parseCredentialLine, secret: true,
	rewrite: "write it anew by klamm format --add-scram",
}

// ParseCredential reads a user in the form of Kafka's --add-scram:
// SCRAM-SHA-256=[name=alice,password=secret], with iterations, and with salt and
// saltedpassword in base64 instead of the password where there may be none.
func ParseCredential(text string) (security.ScramCredential, error) {
	name, list, _ := strings.Cut(text, "=")
	mechanism, known := sasl.ParseMechanism(name)
	if !known {
		return security.ScramCredential{}, fmt.Errorf("%q is no mechanism of SCRAM: want SCRAM-SHA-256=[…] or SCRAM-SHA-512=[…]", name)
	}
	if !strings.HasPrefix(list, "[") || !strings.HasSuffix(list, "]") {
		return security.ScramCredential{}, fmt.Errorf("want %s=[name=NAME,password=PASSWORD]", mechanism)
	}
	fields := map[string]string{}
	for item := range strings.SplitSeq(list[1:len(list)-1], ",") {
		key, value, found := strings.Cut(item, "=")
		if _, again := fields[key]; !found || again || !slices.Contains([]string{"name", "password", "salt", "saltedpassword", "iterations"}, key) {
			return security.ScramCredential{}, errors.New("each of name, password, salt, saltedpassword and iterations is written KEY=VALUE, at most once")
		}
		fields[key] = strings.Trim(value, `"`)
	}
	return newCredential(mechanism, fields)
}

func newCredential(mechanism security.ScramMechanism, fields map[string]string) (c security.ScramCredential, err error) {
	user := security.ScramUser{Name: fields["name"], Mechanism: mechanism}
	iterations := int64(security.LeastIterations)
	if text, set := fields["iterations"]; set {
		if iterations, err = strconv.ParseInt(text, 10, 32); err != nil || iterations < security.LeastIterations || iterations > security.MostIterations {
			return c, fmt.Errorf("iterations is %s: want %d to %d", text, security.LeastIterations, security.MostIterations)
		}
	}
	salt, salted := sasl.NewSalt(), []byte(nil)
	if text, set := fields["salt"]; set {
		if salt, err = base64.StdEncoding.DecodeString(text); err != nil {
			return c, errors.New("salt is not base64")
		}
	}
	if text, set := fields["saltedpassword"]; set {
		if salted, err = base64.StdEncoding.DecodeString(text); err != nil {
			return c, errors.New("saltedpassword is not base64")
		}
	}
	switch {
	case user.Name == "":
		return c, errors.New("name is missing")
	case (fields["password"] == "") == (len(salted) == 0):
		return c, errors.New("want one of password and saltedpassword")
	case len(salted) > 0 && fields["salt"] == "":
		return c, errors.New("saltedpassword wants its salt")
	case len(salted) > 0:
		return sasl.CredentialOf(user, salt, salted, int32(iterations)), nil
	}
	return sasl.NewCredential(user, transport.Secret(fields["password"]), salt, int32(iterations))
}

// Credentials are the passwords with which the cluster of a node begins: those that were
// given when its folders were formatted.
func Credentials(fsys disk.FS, c *config.Broker) ([]security.ScramCredential, error) {
	return firstCredentials.read(fsys, c.MetadataLogDir)
}

func credentialLine(c security.ScramCredential) string {
	encode := func(s security.Hidden) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	return fmt.Sprintf("%s %d %s %s %s %s", c.Mechanism, c.Iterations, encode(c.Salt), encode(c.StoredKey), encode(c.ServerKey), c.Name)
}

func parseCredentialLine(line string) (c security.ScramCredential, err error) {
	fields := strings.SplitN(line, " ", 6)
	if len(fields) != 6 {
		return c, errors.New("want a mechanism, iterations, salt, two keys and a name")
	}
	mechanism, known := sasl.ParseMechanism(fields[0])
	iterations, notNumber := strconv.ParseInt(fields[1], 10, 32)
	if !known || notNumber != nil {
		return c, errors.New("the mechanism or the iterations are none")
	}
	c.ScramUser, c.Iterations = security.ScramUser{Name: fields[5], Mechanism: mechanism}, int32(iterations)
	for i, into := range []*security.Hidden{&c.Salt, &c.StoredKey, &c.ServerKey} {
		value, err := base64.StdEncoding.DecodeString(fields[2+i])
		if err != nil {
			return c, errors.New("the salt or a key is not base64")
		}
		*into = security.Hidden(value)
	}
	return c, nil
}
