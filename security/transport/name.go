package transport

import (
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// keywords are the attributes that RFC 2253 has a word for.
var keywords = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// attributesSET is one step of a distinguished name; its name makes asn1 read a SET.
type attributesSET []attribute

// DistinguishedName writes the DER of a name in the form of RFC 2253, as Java's
// X500Principal.getName does: what comes last in the certificate stands first, and
// attributes without a word of their own have their number and value in hex.
func DistinguishedName(der []byte) (string, error) {
	var steps []attributesSET
	if _, err := asn1.Unmarshal(der, &steps); err != nil {
		return "", fmt.Errorf("read a distinguished name: %w", err)
	}
	var out []string
	for _, step := range slices.Backward(steps) {
		var values []string
		for _, a := range step {
			values = append(values, a.String())
		}
		out = append(out, strings.Join(values, "+"))
	}
	return strings.Join(out, ","), nil
}

func (a attribute) String() string {
	oid := a.Type.String()
	word, known := keywords[oid]
	text, isText := textOf(a.Value)
	switch {
	case known && isText:
		return word + "=" + escape(text)
	case known:
		return word + "=#" + hex.EncodeToString(a.Value.FullBytes)
	}
	return oid + "=#" + hex.EncodeToString(a.Value.FullBytes)
}

const (
	generalString = 27
	bmpString     = 30
)

// textOf decodes the types of ASN.1 that are text.
func textOf(v asn1.RawValue) (text string, is bool) {
	if v.Class != asn1.ClassUniversal {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, generalString:
		return string(v.Bytes), true
	case asn1.TagT61String: // in practice ISO 8859-1
		var out strings.Builder
		for _, b := range v.Bytes {
			out.WriteRune(rune(b))
		}
		return out.String(), true
	case bmpString:
		var units []uint16
		for i := 0; i+1 < len(v.Bytes); i += 2 {
			units = append(units, uint16(v.Bytes[i])<<8|uint16(v.Bytes[i+1]))
		}
		return string(utf16.Decode(units)), true
	}
	return "", false
}

// escape writes a value so that it can be told from what is around it.
func escape(value string) string {
	runes := []rune(value)
	from, to := 0, len(runes)
	for from < to && isEdge(runes[from]) {
		from++
	}
	for to > from && isEdge(runes[to-1]) {
		to--
	}
	var out strings.Builder
	for i, r := range runes {
		switch {
		case r == 0:
			out.WriteString(`\00`)
			continue
		case i < from, i >= to, strings.ContainsRune(`,=+<>#;"\`, r):
			out.WriteByte('\\')
		}
		out.WriteRune(r)
	}
	return out.String()
}

func isEdge(r rune) bool { return r == ' ' || r == '\r' }
