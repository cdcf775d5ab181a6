package sasl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/klamm-io/klamm/security/transport"
)

// The login modules that sasl.jaas.config may name. They are not loaded: each is
// Kafka's name for a mechanism's options.
const (
	PlainModule = "org.apache.kafka.common.security.plain.PlainLoginModule"
	ScramModule = "org.apache.kafka.common.security.scram.ScramLoginModule"
)

// Entry is what sasl.jaas.config says.
type Entry struct {
	Module  string
	Options map[string]transport.Secret
}

// Users are those that an entry of PLAIN has, as user_NAME="password".
func (e *Entry) Users() map[string]transport.Secret {
	users := map[string]transport.Secret{}
	for option, password := range e.Options {
		if name, is := strings.CutPrefix(option, "user_"); is && name != "" {
			users[name] = password
		}
	}
	return users
}

// ParseEntry reads the one entry of a sasl.jaas.config: a module, a flag, and options
// of the form name="value", ended by a semicolon.
func ParseEntry(text string) (*Entry, error) {
	r := jaasReader{left: text}
	e := &Entry{Module: r.word(), Options: map[string]transport.Secret{}}
	flag := r.word()
	for r.err == nil && !r.take(';') {
		name := r.word()
		if r.err == nil && !r.take('=') {
			r.fail("the option %s has no value", name)
		}
		e.Options[name] = transport.Secret(r.word())
	}
	if r.skip(); r.err == nil && r.left != "" {
		r.fail("more follows its semicolon, and only one module is taken")
	}
	if r.err != nil {
		return nil, fmt.Errorf(`%w; want MODULE required NAME="VALUE" … ;`, r.err)
	}
	switch strings.ToLower(flag) {
	case "required", "requisite", "sufficient", "optional":
		return e, nil
	}
	return nil, errors.New("its module's flag is not required, requisite, sufficient or optional")
}

// jaasReader takes one word after the other. After an error it reads no more. Errors
// have none of the text, which holds passwords, but the names of options.
type jaasReader struct {
	left string
	err  error
}

func (r *jaasReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
	r.left = ""
}

// skip passes white space and comments.
func (r *jaasReader) skip() {
	for {
		r.left = strings.TrimLeft(r.left, " \t\r\n\f")
		var end string
		switch {
		case strings.HasPrefix(r.left, "//"):
			end = "\n"
		case strings.HasPrefix(r.left, "/*"):
			end = "*/"
		default:
			return
		}
		_, r.left, _ = strings.Cut(r.left[2:], end)
	}
}

func (r *jaasReader) take(c byte) bool {
	r.skip()
	if r.left == "" {
		r.fail("it does not end in a semicolon")
		return false
	}
	if r.left[0] != c {
		return false
	}
	r.left = r.left[1:]
	return true
}

// word reads a quoted text, or letters and digits with a few signs between.
func (r *jaasReader) word() string {
	r.skip()
	if r.left == "" {
		r.fail("it ends too soon")
		return ""
	}
	if quote := r.left[0]; quote == '"' || quote == '\'' {
		return r.quoted(quote)
	}
	n := strings.IndexFunc(r.left, func(c rune) bool {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c > 127 || strings.ContainsRune("_-$.", c)
		return !plain
	})
	if n < 0 {
		n = len(r.left)
	}
	if n == 0 {
		r.fail("a sign stands where a word should")
		return ""
	}
	word := r.left[:n]
	r.left = r.left[n:]
	return word
}

func (r *jaasReader) quoted(quote byte) string {
	var text strings.Builder
	for i := 1; i < len(r.left); i++ {
		switch c := r.left[i]; {
		case c == quote:
			r.left = r.left[i+1:]
			return text.String()
		case c == '\\' && i+1 < len(r.left):
			i++
			text.WriteByte(unescaped(r.left[i]))
		default:
			text.WriteByte(c)
		}
	}
	r.fail("a quotation is not closed")
	return ""
}

func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	}
	return c
}
