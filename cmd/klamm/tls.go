package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm-io/klamm/security/issue"
)

func newTLSCommand(env *environment) *cobra.Command {
	return parentCommand("tls", "Make certificates", newTLSInitCommand(env))
}

// How long certificates are good for, in days.
const (
	authorityDays = 3650
	leafDays      = 825
)

// tlsInit is `klamm tls init`.
type tlsInit struct {
	dir    string
	hosts  []string
	client string
	now    time.Time
}

func newTLSInitCommand(env *environment) *cobra.Command {
	var t tlsInit
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make an authority, and certificates for servers and a client",
		Long: `Make a certificate authority of your own, a certificate that it signs for each host, and one
for a client, all in PEM; and print how a broker and a client are set to use them.

A host that is reached by several names has them separated by plus signs, and its files
are called after the first. An authority that is in the folder already is used again, so
that hosts and clients can be added; whose files are there is left as it is. Keep
ca-key.pem where no broker can read it: who has it can be anybody.`,
		Example: `  klamm tls init --dir certs --host localhost+127.0.0.1
  klamm tls init --dir certs --host kafka-1.example+10.0.0.1 --host kafka-2.example --client alice`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.dir == "" || len(t.hosts) == 0 {
				return badUsage(cmd, "name a folder with --dir, and the hosts that brokers are reached by with --host")
			}
			for _, name := range append([]string{t.client}, t.hosts...) {
				if name == "" || name == "ca" || name == "ca-key" || strings.ContainsAny(name, "/\\") {
					return badUsage(cmd, "%q cannot be the name of a certificate's file", name)
				}
			}
			t.now = time.Now()
			return env.initTLS(&t)
		},
	}
	cmd.Flags().StringVarP(&t.dir, "dir", "d", "", "the `folder` to write to")
	cmd.Flags().StringArrayVar(&t.hosts, "host", nil, "a host, by its `name[+name…]`, or address (may be repeated)")
	cmd.Flags().StringVar(&t.client, "client", "client", "the `name` of the client")
	return cmd
}

func (e *environment) initTLS(t *tlsInit) error {
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	ca, err := t.authority()
	if err != nil {
		return err
	}
	var first string
	for _, host := range t.hosts {
		names := strings.Split(host, "+")
		if first == "" {
			first = names[0]
		}
		if err := t.issue(ca, issue.Subject{Name: names[0], Hosts: names, Server: true}); err != nil {
			return err
		}
	}
	if err := t.issue(ca, issue.Subject{Name: t.client}); err != nil {
		return err
	}
	dir, err := filepath.Abs(t.dir)
	if err != nil {
		return fmt.Errorf("find the folder: %w", err)
	}
	e.explainTLS(dir, first, t.client)
	return nil
}

// explainTLS prints how brokers and clients are set to use the files.
func (e *environment) explainTLS(dir, host, client string) {
	at := func(name string) string { return filepath.Join(dir, name) }
	fmt.Fprintf(e.out, `# the broker on %[1]s
listeners=SSL://:9092
security.inter.broker.protocol=SSL
advertised.listeners=SSL://%[1]s:9092
ssl.keystore.type=PEM
ssl.keystore.location=%[2]s
ssl.truststore.type=PEM
ssl.truststore.location=%[3]s
ssl.client.auth=required

# a client of Java
security.protocol=SSL
ssl.keystore.type=PEM
ssl.keystore.location=%[4]s
ssl.truststore.type=PEM
ssl.truststore.location=%[3]s

# a client of librdkafka
security.protocol=SSL
ssl.ca.location=%[3]s
ssl.certificate.location=%[4]s
ssl.key.location=%[4]s
`, host, at(host+".pem"), at("ca.pem"), at(client+".pem"))
}

// authority is the one in the folder, or a new one.
func (t *tlsInit) authority() (*issue.Authority, error) {
	certificate, keyFile := filepath.Join(t.dir, "ca.pem"), filepath.Join(t.dir, "ca-key.pem")
	var pair issue.Pair
	var err error
	if pair.Certificate, err = os.ReadFile(certificate); errors.Is(err, fs.ErrNotExist) {
		return t.newAuthority(certificate, keyFile)
	}
	if err == nil {
		pair.Key, err = os.ReadFile(keyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read the authority: %w", err)
	}
	return issue.Open(pair)
}

func (t *tlsInit) newAuthority(certificate, keyFile string) (*issue.Authority, error) {
	ca, err := issue.NewAuthority("Klamm CA", t.now.Add(-time.Hour), t.now.AddDate(0, 0, authorityDays))
	if err != nil {
		return nil, err
	}
	if err := writeNew(keyFile, ca.Key); err != nil {
		return nil, err
	}
	return ca, writeNew(certificate, ca.Certificate)
}

// issue writes a certificate and its key, in one file, unless there is one.
func (t *tlsInit) issue(ca *issue.Authority, s issue.Subject) error {
	file := filepath.Join(t.dir, s.Name+".pem")
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	s.From, s.Until = t.now.Add(-time.Hour), t.now.AddDate(0, 0, leafDays)
	pair, err := ca.Issue(s)
	if err != nil {
		return err
	}
	return writeNew(file, append(pair.Certificate, pair.Key...))
}

// writeNew writes a file that only its owner may read, and never over another.
func writeNew(file string, content []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write a certificate: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write a certificate: %w", err)
	}
	return nil
}
