package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	franz "github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/sasl"
	"github.com/klamm-io/klamm/security/transport"
)

// credentials are who the client says it is, by SASL.
type credentials struct {
	mechanism string
	user      string
	password  transport.Secret
}

// clientMechanisms are those that a client of this program knows.
var clientMechanisms = map[string]func(credentials) franz.Mechanism{
	sasl.Plain: func(c credentials) franz.Mechanism {
		return plain.Auth{User: c.user, Pass: string(c.password)}.AsMechanism()
	},
	security.ScramSHA256.String(): func(c credentials) franz.Mechanism { return c.scram().AsSha256Mechanism() },
	security.ScramSHA512.String(): func(c credentials) franz.Mechanism { return c.scram().AsSha512Mechanism() },
}

func (c credentials) scram() scram.Auth {
	return scram.Auth{User: c.user, Pass: string(c.password)}
}

// defaultMechanism is taken where --user is given and no mechanism.
var defaultMechanism = security.ScramSHA256.String()

func mechanismSetting(s *clientSecurity, value string) error {
	value = strings.ToUpper(value)
	if _, known := clientMechanisms[value]; !known {
		return errors.New("it is " + alternatives(mechanismNames()))
	}
	s.who.mechanism = value
	return nil
}

func mechanismNames() []string {
	var names []string
	for name := range clientMechanisms {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// alternatives is a list with "or" before its last item.
func alternatives(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// jaasSetting takes what Java's clients have their name and password in.
func jaasSetting(s *clientSecurity, value string) error {
	e, err := sasl.ParseEntry(value)
	if err != nil {
		return err
	}
	s.who.user, s.who.password = string(e.Options["username"]), e.Options["password"]
	return nil
}

// login is what the flags say of who the client is.
type login struct {
	commandConfig string // a file of client configs
	mechanism     string
	user          string
	passwordFile  string
}

// addLoginFlags adds the flags of who the client is.
func addLoginFlags(env *environment, root *cobra.Command) {
	flags, l := root.PersistentFlags(), &env.login
	flags.StringVar(&l.commandConfig, "command-config", "", "a `file` of the client's configs, as Kafka's tools have it")
	flags.StringVar(&l.user, "user", "", "authenticate as this `NAME`, by SASL")
	flags.StringVar(&l.passwordFile, "password-file", "", "the `file` that has the user's password in its first line, - for standard input")
	flags.StringVar(&l.mechanism, "sasl-mechanism", "", "how: "+alternatives(mechanismNames())+" (`MECHANISM`; with --user "+defaultMechanism+")")
	must(root.RegisterFlagCompletionFunc("sasl-mechanism", cobra.FixedCompletions(mechanismNames(), cobra.ShellCompDirectiveNoFileComp)))
}

// clientPairs are the client's configs: those of the file, and then those of -X.
func (e *environment) clientPairs() (pairs []string, err error) {
	if e.login.commandConfig == "" {
		return e.client, nil
	}
	all, err := config.ReadProperties(e.login.commandConfig)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		_, is := clientSettings[p.Name]
		_, secures := securitySettings[p.Name]
		if is || secures {
			pairs = append(pairs, p.Name+"="+p.Value)
		} else {
			e.note("%s: %s has no effect here", e.login.commandConfig, p.Name)
		}
	}
	return append(pairs, e.client...), nil
}

// addLogin adds what the flags say to what the configs do.
func (e *environment) addLogin(cmd *cobra.Command, s *clientSecurity) error {
	l := &e.login
	if l.user == "" {
		if l.passwordFile != "" || l.mechanism != "" {
			return badUsage(cmd, "--password-file and --sasl-mechanism want a --user")
		}
		return nil
	}
	if l.passwordFile == "" {
		return badUsage(cmd, "name the file that has the password of %s with --password-file", l.user)
	}
	if s.who.mechanism == "" {
		s.who.mechanism = defaultMechanism
	}
	if l.mechanism != "" {
		if err := mechanismSetting(s, l.mechanism); err != nil {
			return badUsage(cmd, "--sasl-mechanism %s: %v", l.mechanism, err)
		}
	}
	password, err := e.readPassword(l.passwordFile)
	if err != nil {
		return err
	}
	s.asks, s.who.user, s.who.password = true, l.user, password
	return nil
}

// readPassword reads the first line of a file.
func (e *environment) readPassword(file string) (transport.Secret, error) {
	in := e.in
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		defer opened.Close()
		in = opened
	}
	line, err := firstLine(in)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if line == "" {
		return "", errors.New("read the password: the first line is empty")
	}
	return transport.Secret(line), nil
}

// options are the client's options by which it says who it is.
func (c credentials) options() ([]kgo.Opt, error) {
	switch {
	case c.mechanism == "":
		return nil, errors.New("SASL needs a mechanism: set sasl.mechanism, or --sasl-mechanism with --user")
	case c.user == "" || c.password == "":
		return nil, errors.New("SASL needs a name and a password: set sasl.jaas.config, or sasl.username and sasl.password, or --user and --password-file")
	}
	return []kgo.Opt{kgo.SASL(clientMechanisms[c.mechanism](c))}, nil
}

// firstLine reads up to the end of a line and no further: what follows may be records.
func firstLine(in io.Reader) (string, error) {
	var line []byte
	for next := make([]byte, 1); len(line) < 64<<10; {
		n, err := in.Read(next)
		if n > 0 && next[0] == '\n' || err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		line = append(line, next[:n]...)
	}
	return strings.TrimSuffix(string(line), "\r"), nil
}
