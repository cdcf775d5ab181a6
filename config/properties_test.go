package config

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// The golden file is what java.util.Properties made of java.properties.
func TestPropertiesAreReadAsByJava(t *testing.T) {
	text, err := os.ReadFile("testdata/java.properties")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/java.properties.golden")
	if err != nil {
		t.Fatal(err)
	}
	all, err := parseProperties(text)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, p := range all {
		values[p.Name] = p.Value
	}
	var got []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		got = append(got, javaQuote(name)+" "+javaQuote(values[name]))
	}
	diff(t, got, strings.Split(strings.TrimSpace(string(golden)), "\n"))
}

// javaQuote writes s as the golden file has it: in UTF-16, with ASCII alone.
func javaQuote(s string) string {
	var out strings.Builder
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out.WriteString(`\` + string(r))
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		case r < 32 || r > 126:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	return `"` + out.String() + `"`
}

func TestPropertiesKnowTheirLines(t *testing.T) {
	all, err := parseProperties([]byte("# one\na=1\n\nb=2,\\\n  3\nc=4\r\nd=\xc3\xa4"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Property{{"a", "1", 2}, {"b", "2,3", 4}, {"c", "4", 6}, {"d", "ä", 7}}
	if !slices.Equal(all, want) {
		t.Errorf("have %v, want %v", all, want)
	}
}

func TestBadUnicodeEscapes(t *testing.T) {
	for _, text := range []string{`a=\u`, `a=\u12`, `a=\u12g4`, `\u00=1`, `a=\ud83d\u12`} {
		if _, err := parseProperties([]byte("x=1\n" + text)); err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
			t.Errorf("%s: error %v, want one of line 2", text, err)
		}
	}
}

// What is escaped as Java writes it comes back, whatever it is.
func TestPropertiesRoundTrip(t *testing.T) {
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\f", `\f`, " ", `\ `, "=", `\=`, ":", `\:`, "#", `\#`, "!", `\!`)
	rapid.Check(t, func(t *rapid.T) {
		name, value := rapid.StringN(1, 20, -1).Draw(t, "name"), rapid.String().Draw(t, "value")
		all, err := parseProperties([]byte(escape.Replace(name) + "=" + escape.Replace(value) + "\n"))
		if err != nil || len(all) != 1 || all[0].Name != name || all[0].Value != value {
			t.Fatalf("have %+v, %v", all, err)
		}
	})
}

func FuzzProperties(f *testing.F) {
	for _, seed := range []string{"a=b", "a\\", "a\\\n\\u00e9 : \\", "\\u", "#\n!\n\f\r"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parseProperties(text)
		if err != nil {
			return
		}
		for _, p := range all {
			if p.Line < 1 || p.Line > 1+len(text) || !utf8.ValidString(p.Name) && utf8.Valid(text) {
				t.Errorf("%+v", p)
			}
		}
	})
}
