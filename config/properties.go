package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Property is one name and value of a properties file.
type Property struct {
	Name, Value string
	Line        int // where it begins, from 1
}

// blank is what counts as white space within a line.
const blank = " \t\f"

// parseProperties reads the format of java.util.Properties, which Kafka's
// server.properties is in: comments begin with # or !; name and value are parted
// by =, : or white space; a backslash at the end goes on with the next line, and
// before other characters escapes them. Unlike Java it reads UTF-8, and Latin-1
// only where a text is not UTF-8.
func parseProperties(text []byte) ([]Property, error) {
	var all []Property
	lines := splitLines(decode(text))
	for i := 0; i < len(lines); i++ {
		line, first := strings.TrimLeft(lines[i], blank), i+1
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continues(line) {
			line = line[:len(line)-1]
			if i++; i < len(lines) {
				line += strings.TrimLeft(lines[i], blank)
			}
		}
		p, err := parseProperty(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", first, err)
		}
		p.Line = first
		all = append(all, p)
	}
	return all, nil
}

func decode(text []byte) string {
	if utf8.Valid(text) {
		return string(text)
	}
	runes := make([]rune, len(text))
	for i, b := range text {
		runes[i] = rune(b)
	}
	return string(runes)
}

// splitLines parts a text where lines end in \n, \r or both.
func splitLines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.Split(strings.ReplaceAll(text, "\r", "\n"), "\n")
}

// continues reports whether a line ends in an odd number of backslashes.
func continues(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

func parseProperty(line string) (p Property, err error) {
	name, value := splitProperty(line)
	if p.Name, err = unescape(name); err != nil {
		return p, err
	}
	p.Value, err = unescape(value)
	return p, err
}

// splitProperty parts a line at the first separator that no backslash escapes.
func splitProperty(line string) (name, value string) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=:"+blank, rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	value = strings.TrimLeft(line[end:], blank)
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], blank)
	}
	return line[:end], value
}

// escapes are the characters that a backslash gives another meaning; all others
// stay what they are.
var escapes = map[byte]byte{'t': '\t', 'n': '\n', 'r': '\r', 'f': '\f'}

func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out.WriteByte(s[i])
			continue
		}
		i++ // a lone backslash at the end went on with the next line
		switch meant, special := escapes[s[i]]; {
		case special:
			out.WriteByte(meant)
		case s[i] == 'u':
			r, size, err := unescapeUnicode(s[i-1:])
			if err != nil {
				return "", err
			}
			out.WriteRune(r)
			i += size - 2
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String(), nil
}

// unescapeUnicode reads the \uXXXX that s begins with, and a second one that
// completes a surrogate pair. It returns how many bytes it took.
func unescapeUnicode(s string) (r rune, size int, err error) {
	high, err := codeUnit(s)
	if err != nil {
		return 0, 0, err
	}
	if utf16.IsSurrogate(high) && strings.HasPrefix(s[6:], `\u`) {
		low, err := codeUnit(s[6:])
		if err != nil {
			return 0, 0, err
		}
		if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
			return r, 12, nil
		}
	}
	return high, 6, nil
}

func codeUnit(s string) (rune, error) {
	if len(s) >= 6 {
		if code, err := strconv.ParseUint(s[2:6], 16, 16); err == nil {
			return rune(code), nil
		}
	}
	return 0, fmt.Errorf("%q: after \\u come four hexadecimal digits", s)
}
