package transport

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Mapping is how a distinguished name becomes a principal's: by the first rule that
// fits. The zero value takes the name as it is.
type Mapping struct{ rules []mappingRule }

// mappingRule is one of ssl.principal.mapping.rules; without a pattern it is DEFAULT.
type mappingRule struct {
	pattern     *regexp.Regexp // of the whole name
	replacement string
	letters     byte // 'L' or 'U' for the case that the name is to have, 0 for its own
}

// ParseMapping reads ssl.principal.mapping.rules: DEFAULT, and
// RULE:pattern/replacement/ with L or U after it, separated by commas. A slash in a
// pattern or replacement is written \/.
func ParseMapping(text string) (m Mapping, err error) {
	rest := strings.TrimSpace(text)
	for rest != "" {
		var rule mappingRule
		if rule, rest, err = parseMappingRule(rest); err != nil {
			return Mapping{}, err
		}
		m.rules = append(m.rules, rule)
	}
	return m, nil
}

var (
	defaultRule = regexp.MustCompile(`^DEFAULT\s*(?:,\s*|$)`)
	ruleForm    = regexp.MustCompile(`^RULE:((?:\\.|[^\\/])*)/((?:\\.|[^\\/])*)/([LU]?)\s*(?:,\s*|$)`)
)

func parseMappingRule(text string) (r mappingRule, rest string, err error) {
	if found := defaultRule.FindString(text); found != "" {
		return r, text[len(found):], nil
	}
	parts := ruleForm.FindStringSubmatch(text)
	if parts == nil {
		return r, "", fmt.Errorf("%q: want DEFAULT, or RULE:pattern/replacement/ with L or U after it", text)
	}
	pattern := strings.ReplaceAll(parts[1], `\/`, "/")
	if r.pattern, err = regexp.Compile(`^(?:` + pattern + `)$`); err != nil {
		return r, "", fmt.Errorf("the pattern of RULE:%s/%s/%s: %w", parts[1], parts[2], parts[3], err)
	}
	r.replacement = strings.ReplaceAll(parts[2], `\/`, "/")
	if parts[3] != "" {
		r.letters = parts[3][0]
	}
	return r, text[len(parts[0]):], nil
}

// Name is what a principal is called whose certificate has the distinguished name.
func (m Mapping) Name(distinguished string) (string, error) {
	if len(m.rules) == 0 {
		return distinguished, nil
	}
	for _, r := range m.rules {
		if name, fits := r.apply(distinguished); fits {
			return name, nil
		}
	}
	return "", fmt.Errorf("no rule of ssl.principal.mapping.rules fits the name %q; end them with DEFAULT to take such names as they are", distinguished)
}

func (r mappingRule) apply(name string) (mapped string, fits bool) {
	if r.pattern == nil {
		return name, true
	}
	groups := r.pattern.FindStringSubmatch(name)
	if groups == nil {
		return "", false
	}
	mapped = expand(r.replacement, groups)
	switch r.letters {
	case 'L':
		mapped = strings.ToLower(mapped)
	case 'U':
		mapped = strings.ToUpper(mapped)
	}
	return mapped, true
}

// expand puts the groups in where $1 and the like stand. As in Java a number goes
// on as long as there is such a group, and a backslash takes a character as it is.
func expand(replacement string, groups []string) string {
	var out strings.Builder
	for i := 0; i < len(replacement); i++ {
		c := replacement[i]
		switch {
		case c == '\\' && i+1 < len(replacement):
			i++
			out.WriteByte(replacement[i])
		case c == '$':
			number, digits := groupNumber(replacement[i+1:], len(groups))
			if digits == 0 {
				out.WriteByte(c)
				continue
			}
			out.WriteString(groups[number])
			i += digits
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// groupNumber reads the longest number that is one of so many groups.
func groupNumber(text string, groups int) (number, digits int) {
	for n := 1; n <= len(text); n++ {
		read, err := strconv.ParseUint(text[:n], 10, 16)
		if err != nil || int(read) >= groups {
			break
		}
		number, digits = int(read), n
	}
	return number, digits
}
