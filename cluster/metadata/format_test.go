package metadata

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const formatPage = "../../docs/formats/metadata-records.md"

// TestFormatPage: every record type is drawn, with an example that reads as it.
func TestFormatPage(t *testing.T) {
	text, err := os.ReadFile(formatPage)
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[recordType]bool{}
	section := regexp.MustCompile(`(?ms)^### (\d+) (\w+)\n(.*?)(?:\n#|\z)`)
	for rest := string(text); ; {
		at := section.FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		number, name, body := rest[at[2]:at[3]], rest[at[4]:at[5]], rest[at[6]:at[7]]
		n, _ := strconv.Atoi(number)
		drawn[recordType(n)] = true
		checkExample(t, number, name, example(body))
		rest = rest[at[7]:]
	}
	for n := range 256 {
		if r := newRecord(recordType(n)); r != nil && !drawn[recordType(n)] {
			t.Errorf("%s has no heading for type %d, %T", formatPage, n, r)
		}
	}
}

// example returns the bytes of a section's indented lines.
func example(body string) string {
	var digits strings.Builder
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "    ") {
			digits.WriteString(strings.ReplaceAll(strings.TrimSpace(line), " ", ""))
		}
	}
	return digits.String()
}

func checkExample(t *testing.T, number, name, digits string) {
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) == 0 {
		t.Errorf("%s %s: no example: %v", number, name, err)
		return
	}
	r, err := Decode(b)
	if err != nil {
		t.Errorf("%s %s: the example does not read: %v", number, name, err)
		return
	}
	if got := fmt.Sprintf("%d *metadata.%s", r.kind(), name); got != fmt.Sprintf("%s %T", number, r) {
		t.Errorf("%s %s: the example is a %T of type %d", number, name, r, r.kind())
	}
	if again := Encode(nil, r); !bytes.Equal(again, b) {
		t.Errorf("%s %s: written again it is %x", number, name, again)
	}
}
