package format

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/storage/disk"
)

// TestFirstPasswords: what folders are formatted with is what a node begins with, and
// no password is in the file.
func TestFirstPasswords(t *testing.T) {
	fs, c := disk.NewMemory(), load(t, "log.dirs=d")
	var want []security.ScramCredential
	for _, text := range []string{
		`SCRAM-SHA-256=[name=alice,password=swordfish]`, `scram-sha-512=[name="a user",iterations=16384,password="swordfish"]`,
		`SCRAM-SHA-256=[name=bob,salt=c2FsdA==,saltedpassword=c2FsdGVk]`,
	} {
		one, err := ParseCredential(text)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, one)
	}
	if all, err := Credentials(fs, c); err != nil || all != nil {
		t.Fatal(all, err)
	}
	if _, err := Run(fs, c, Request{ClusterID: "c", Credentials: want}); err != nil {
		t.Fatal(err)
	}
	if got, err := Credentials(fs, c); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v", err, got)
	}
	raw, err := fs.ReadFile("d/bootstrap.scram")
	if err != nil || strings.Contains(string(raw), "swordfish") || strings.Contains(fmt.Sprintf("%+v", want), string(want[0].StoredKey)) {
		t.Errorf("%v: %s", err, raw)
	}
}

// TestNoPasswords: what is wrong with a user is told, without the password.
func TestNoPasswords(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "no mechanism of SCRAM",
		"PLAIN=[name=a,password=swordfish]": "no mechanism of SCRAM",
		"SCRAM-SHA-256=name=a,password=swordfish":        "want SCRAM-SHA-256=[",
		"SCRAM-SHA-256=[password=swordfish]":             "name is missing",
		"SCRAM-SHA-256=[name=a]":                         "want one of password and saltedpassword",
		"SCRAM-SHA-256=[name=a,swordfish]":               "written KEY=VALUE",
		"SCRAM-SHA-256=[name=a,name=b,password=x]":       "at most once",
		"SCRAM-SHA-256=[name=a,saltedpassword=c2Fs]":     "wants its salt",
		"SCRAM-SHA-256=[name=a,salt=!,password=x]":       "salt is not base64",
		"SCRAM-SHA-256=[name=a,saltedpassword=!]":        "saltedpassword is not base64",
		"SCRAM-SHA-256=[name=a,password=x,iterations=1]": "want 4096 to 16384",
	} {
		if _, err := ParseCredential(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "swordfish") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                              "line 1: want the version 0",
		"0\n2\nx":                       "line 2: want how many passwords follow, which is 1",
		"0\n1\nx":                       "line 3: want a mechanism",
		"0\n1\nPLAIN 1 a b c n":         "line 3: the mechanism or the iterations are none",
		"0\n1\nSCRAM-SHA-256 1 a b c n": "line 3: the salt or a key is not base64",
	} {
		if _, err := firstCredentials.parseAll(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
