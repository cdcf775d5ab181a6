package transport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/klamm-io/klamm/security/issue"
)

func authority(t *testing.T) *issue.Authority {
	t.Helper()
	a, err := issue.NewAuthority("CA", time.Now().Add(-time.Hour), time.Now().Add(1000*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issued(t *testing.T, a *issue.Authority, name string) issue.Pair {
	t.Helper()
	p, err := a.Issue(issue.Subject{Name: name, Hosts: []string{"localhost"}, Server: true, From: time.Now().Add(-time.Hour), Until: time.Now().Add(1000 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t *testing.T, file string, content ...[]byte) string {
	t.Helper()
	if err := os.WriteFile(file, bytes.Join(content, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The names are as Java's X500Principal.getName wrote them for the same DER.
func TestDistinguishedName(t *testing.T) {
	text := func(s string) asn1.RawValue { return asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(s)} }
	at := func(oid asn1.ObjectIdentifier, s string) attributesSET { return attributesSET{{oid, text(s)}} }
	cn, ou, mail := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 11}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	for want, steps := range map[string][]attributesSET{
		"":                            {},
		"CN=alice,OU=staff":           {at(ou, "staff"), at(cn, "alice")},
		"CN=a+OU=b":                   {{{cn, text("a")}, {ou, text("b")}}},
		`CN=a\,b\+c\"d\\e\<f\>\;\=\#`: {at(cn, `a,b+c"d\e<f>;=#`)},
		`CN=\ a b\ \ `:                {at(cn, " a b  ")},
		"CN=Zoë 人":                    {at(cn, "Zoë 人")},
		"1.2.840.113549.1.9.1=#0c056140622e63,CN=x": {at(cn, "x"), at(mail, "a@b.c")},
		`CN=a\00b`: {at(cn, "a\x00b")},
	} {
		der, err := asn1.Marshal(steps)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DistinguishedName(der); err != nil || got != want {
			t.Errorf("%q, error %v; want %q", got, err, want)
		}
	}
	if _, err := DistinguishedName([]byte("no DER")); err == nil {
		t.Error("what is no name has one")
	}
}

func TestMapping(t *testing.T) {
	const name = "CN=Alice,OU=ServiceUsers,O=Org,C=NL"
	for _, c := range []struct{ rules, want string }{
		{"", name},
		{"DEFAULT", name},
		{"RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/", "Alice"},
		{"RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/L", "alice"},
		{"RULE:^CN=(.*?),OU=(.*?),O=(.*?),C=(.*?)$/$1@$2/U , DEFAULT", "ALICE@SERVICEUSERS"},
		{"RULE:^CN=Bob.*$/bob/, RULE:CN=(A)(.*?),.*/$2$1$3$12/", "liceA$3A2"},
		{"RULE:^cn=.*$/x/,DEFAULT", name},
		{`RULE:.*/a\/b\$1/`, "a/b$1"},
		{"RULE:Alice/x/,DEFAULT", name}, // a rule is of the whole name
	} {
		m, err := ParseMapping(c.rules)
		if err != nil {
			t.Errorf("%s: %v", c.rules, err)
			continue
		}
		if got, err := m.Name(name); err != nil || got != c.want {
			t.Errorf("%s: %q, error %v; want %q", c.rules, got, err, c.want)
		}
	}
	for _, rules := range []string{"RULE:", "RULE:a/b", "RULE:(/b/", "RULE:a/b/X", "DEFAULT  NONE", "NONE", ","} {
		if _, err := ParseMapping(rules); err == nil {
			t.Errorf("%s is taken", rules)
		}
	}
	m, _ := ParseMapping("RULE:^x$/y/")
	if _, err := m.Name(name); err == nil || !strings.Contains(err.Error(), "no rule") {
		t.Errorf("a name that no rule fits: %v", err)
	}
}

func TestVersionsAndCiphers(t *testing.T) {
	all13 := []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
	const old = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
	for _, c := range []struct {
		versions, ciphers []string
		want              Versions
		fails             bool
	}{
		{want: EveryVersion},
		{versions: []string{"TLSv1.3"}, want: Versions{tls.VersionTLS13, tls.VersionTLS13}},
		{versions: []string{"TLSv1.3", "TLSv1.2"}, want: EveryVersion},
		{ciphers: all13, want: Versions{tls.VersionTLS13, tls.VersionTLS13}},
		{ciphers: []string{old}, want: Versions{tls.VersionTLS12, tls.VersionTLS12}},
		{ciphers: append([]string{old}, all13...), want: EveryVersion},
		{versions: []string{"TLSv1.3"}, ciphers: []string{old}, fails: true},
		{versions: []string{"TLSv1.2"}, ciphers: all13, fails: true},
	} {
		var s Settings
		var err error
		if s.Versions, err = ParseVersions(c.versions); err != nil {
			t.Fatal(err)
		}
		if s.Ciphers, err = ParseCiphers(c.ciphers); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); (err != nil) != c.fails || err == nil && s.Versions != c.want {
			t.Errorf("%v with %v: %v, error %v", c.versions, c.ciphers, s.Versions, err)
		}
	}
}

// TestStores: a certificate is the same from whatever form it is read.
func TestStores(t *testing.T) {
	dir, a := t.TempDir(), authority(t)
	p := issued(t, a, "broker")
	pair, err := tls.X509KeyPair(p.Certificate, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	caBlock, _ := pem.Decode(a.Certificate)
	ca, err := x509.ParseCertificate(caBlock.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern.Encode(pair.PrivateKey, pair.Leaf, []*x509.Certificate{ca}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	trust, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{ca}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	both := write(t, filepath.Join(dir, "both.pem"), p.Certificate, p.Key)
	store, jks := write(t, filepath.Join(dir, "b.p12"), p12), write(t, filepath.Join(dir, "b.jks"), []byte{0xfe, 0xed, 0xfe, 0xed})
	inOneLine := func(b []byte) string { return strings.ReplaceAll(string(b), "\n", " ") }
	for name, k := range map[string]KeyStore{
		"PEM":             {Type: PEM, Location: both},
		"two files":       {Type: PEM, ChainLocation: write(t, filepath.Join(dir, "c.pem"), p.Certificate), KeyLocation: write(t, filepath.Join(dir, "k.pem"), p.Key)},
		"inline":          {Type: PEM, Chain: string(p.Certificate), Key: Secret(p.Key)},
		"in one line":     {Type: PEM, Chain: inOneLine(p.Certificate), Key: Secret(inOneLine(p.Key))},
		"PKCS12":          {Type: PKCS12, Location: store, Password: "secret"},
		"PKCS12 as JKS":   {Type: JKS, Location: store, Password: "secret", KeyPassword: "secret"},
		"encrypted PEM":   {Type: PEM, Location: "testdata/encrypted.pem", KeyPassword: "secret"},
		"encrypted, 3DES": {Type: PEM, Location: "testdata/encrypted-3des.pem", KeyPassword: "secret"},
	} {
		c, err := k.certificate()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !strings.HasPrefix(name, "encrypted") && !bytes.Equal(c.Certificate[0], pair.Certificate[0]) {
			t.Errorf("%s: another certificate", name)
		}
	}
	for _, c := range []struct {
		store KeyStore
		want  string
	}{
		{KeyStore{Type: JKS, Location: jks}, "keytool -importkeystore -srckeystore " + jks + " -destkeystore " + strings.TrimSuffix(jks, ".jks") + ".p12 -deststoretype PKCS12"},
		{KeyStore{Type: JKS, Location: both}, "set it to PEM"},
		{KeyStore{Type: PKCS12, Location: store, Password: "wrong"}, "password incorrect"},
		{KeyStore{Type: PKCS12, Location: store, Password: "secret", KeyPassword: "other"}, "the keys of PKCS12 have the store's password"},
		{KeyStore{Type: PEM, Location: dir + "/none.pem"}, "no such file"},
		{KeyStore{Type: PEM, Location: "testdata/encrypted.pem"}, "ssl.key.password is not set"},
		{KeyStore{Type: PEM, Location: "testdata/encrypted.pem", KeyPassword: "wrong"}, "decrypt the key"},
		{KeyStore{Type: PEM, Chain: string(p.Certificate)}, "there is no private key"},
		{KeyStore{Type: PEM, Key: Secret(p.Key)}, "there is no certificate"},
		{KeyStore{Type: PEM, Chain: string(a.Certificate), Key: Secret(p.Key)}, "the key is not that of the first certificate"},
	} {
		if _, err := c.store.certificate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
	for _, s := range []TrustStore{
		{Type: PEM, Location: write(t, filepath.Join(dir, "ca.pem"), a.Certificate)}, {Type: PEM, Certificates: inOneLine(a.Certificate)},
		{Type: PKCS12, Location: write(t, filepath.Join(dir, "t.p12"), trust), Password: "secret"},
	} {
		pool, err := s.pool()
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool}); err != nil {
			t.Error(err)
		}
	}
}

// TestReload: new files count within seconds; files that cannot be used change
// nothing and are told of once.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authority(t)
		first, second := issued(t, a, "first"), issued(t, a, "second")
		file := write(t, filepath.Join(t.TempDir(), "k.pem"), first.Certificate, first.Key)
		var log bytes.Buffer
		s, err := Open("SSL", Settings{KeyStore: KeyStore{Type: PEM, Location: file}}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		ctx := t.Context()
		go func() { done <- s.Run(ctx) }()
		shows := func() string {
			config, err := s.Server().GetConfigForClient(nil)
			if err != nil {
				t.Fatal(err)
			}
			return config.Certificates[0].Leaf.Subject.CommonName
		}
		for _, step := range []struct {
			content []byte
			want    string
			told    int
		}{
			{bytes.Join([][]byte{second.Certificate, second.Key}, nil), "second", 0},
			{second.Certificate, "second", 1},
			{bytes.Join([][]byte{first.Certificate, first.Key}, nil), "first", 1},
		} {
			write(t, file, step.content)
			for range 3 {
				time.Sleep(checkEvery)
				synctest.Wait()
			}
			if got := shows(); got != step.want {
				t.Errorf("it shows %s, want %s", got, step.want)
			}
			if got := strings.Count(log.String(), "level=ERROR"); got != step.told {
				t.Errorf("%d complaints, want %d:\n%s", got, step.told, &log)
			}
		}
	})
}

// TestSecretsDoNotFormat: whatever prints the settings does not print a password.
func TestSecretsDoNotFormat(t *testing.T) {
	s := Settings{KeyStore: KeyStore{Password: "swordfish", Key: "swordfish"}, TrustStore: TrustStore{Password: "swordfish"}}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("settings", "s", s, "p", s.KeyStore.Password)
	if all := fmt.Sprintf("%v %+v %#v %s", s, s, s, log.String()); strings.Contains(all, "swordfish") {
		t.Error(all)
	}
}
