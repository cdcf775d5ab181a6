package security

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var alice, bob = Principal{"User", "alice"}, Principal{"User", "bob"}

func decided(c StandardConfig, acls ...ACL) *Standard {
	s := NewStandard(c)
	s.Change(acls, nil)
	s.Open()
	return s
}

// on is an ACL of alice's about topics.
func on(pattern PatternType, name string, op Operation, does Permission) ACL {
	return ACL{Topic, pattern, name, "User:alice", Wildcard, op, does}
}

func TestStandard(t *testing.T) {
	of := func(principal, host string) ACL { return ACL{Topic, Literal, "t", principal, host, Read, Allow} }
	for name, c := range map[string]struct {
		acls []ACL
		op   Operation
		want bool
	}{
		"no ACL":                           {nil, Read, false},
		"by name":                          {[]ACL{on(Literal, "t", Read, Allow)}, Read, true},
		"another operation":                {[]ACL{on(Literal, "t", Read, Allow)}, Write, false},
		"every operation":                  {[]ACL{on(Literal, "t", All, Allow)}, AlterConfigs, true},
		"all topics":                       {[]ACL{on(Literal, Wildcard, Read, Allow)}, Read, true},
		"a beginning of the name":          {[]ACL{on(Prefixed, "t", Read, Allow)}, Read, true},
		"the beginning of all names":       {[]ACL{on(Prefixed, Wildcard, Read, Allow)}, Read, false},
		"more than the name":               {[]ACL{on(Prefixed, "tt", Read, Allow)}, Read, false},
		"denied before allowed":            {[]ACL{on(Literal, "t", Read, Allow), on(Literal, Wildcard, All, Deny)}, Read, false},
		"denied by a beginning":            {[]ACL{on(Literal, "t", Read, Allow), on(Prefixed, "t", Read, Deny)}, Read, false},
		"who reads may look":               {[]ACL{on(Literal, "t", Read, Allow)}, Describe, true},
		"who writes may look":              {[]ACL{on(Literal, "t", Write, Allow)}, Describe, true},
		"who deletes may look":             {[]ACL{on(Literal, "t", Delete, Allow)}, Describe, true},
		"who alters may look":              {[]ACL{on(Literal, "t", Alter, Allow)}, Describe, true},
		"who creates may not look":         {[]ACL{on(Literal, "t", Create, Allow)}, Describe, false},
		"who alters configs may see them":  {[]ACL{on(Literal, "t", AlterConfigs, Allow)}, DescribeConfigs, true},
		"who may not read may look":        {[]ACL{on(Literal, "t", Describe, Allow), on(Literal, "t", Read, Deny)}, Describe, true},
		"every user":                       {[]ACL{of(AnyUser, Wildcard)}, Read, true},
		"another user":                     {[]ACL{of("User:bob", Wildcard)}, Read, false},
		"a principal of another type":      {[]ACL{of("Role:alice", Wildcard)}, Read, false},
		"on its host":                      {[]ACL{of("User:alice", "10.0.0.1")}, Read, true},
		"on another host":                  {[]ACL{of("User:alice", "10.0.0.2")}, Read, false},
		"about a group of the same name":   {[]ACL{{Group, Literal, "t", "User:alice", Wildcard, Read, Allow}}, Read, false},
		"a principal that nobody can have": {[]ACL{of("alice", Wildcard)}, Read, false},
	} {
		if got := decided(StandardConfig{}, c.acls...).Allowed(alice, "10.0.0.1", c.op, Resource{Topic, "t"}); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestSuperUsersAndResourcesWithoutACLs(t *testing.T) {
	s := decided(StandardConfig{SuperUsers: []Principal{bob}, AllowIfNone: true}, on(Literal, "t", Write, Allow), ACL{Topic, Literal, "t", AnyUser, Wildcard, All, Deny})
	for _, c := range []struct {
		who  Principal
		name string
		want bool
	}{{bob, "t", true}, {alice, "t", false}, {alice, "other", true}} {
		if got := s.Allowed(c.who, "10.0.0.1", Write, Resource{Topic, c.name}); got != c.want {
			t.Errorf("%s writes to %s: %v, want %v", c.who, c.name, got, c.want)
		}
	}
	if s.Allowed(Node(1), "10.0.0.1", Write, Resource{Topic, "t"}) {
		t.Error("an ACL of users counts for a node")
	}
}

// TestShut: an authorizer that was not opened lets in super users alone, whatever it
// would do otherwise.
func TestShut(t *testing.T) {
	s := NewStandard(StandardConfig{SuperUsers: []Principal{bob}, AllowIfNone: true})
	s.Change([]ACL{on(Literal, "t", All, Allow)}, nil)
	for _, name := range []string{"t", "other"} {
		if s.Allowed(alice, "h", Read, Resource{Topic, name}) || s.AllowedSomewhere(alice, "h", Read, Topic) {
			t.Errorf("alice reads %s", name)
		}
	}
	if s.Ready() || !s.Allowed(bob, "h", Read, Resource{Topic, "t"}) {
		t.Error("bob is a super user")
	}
}

func TestAllowedSomewhere(t *testing.T) {
	for name, c := range map[string]struct {
		acls []ACL
		want bool
	}{
		"no ACL":                       {nil, false},
		"one topic":                    {[]ACL{on(Literal, "a", Write, Allow)}, true},
		"one topic, but not there":     {[]ACL{on(Literal, "a", Write, Allow), on(Literal, "a", Write, Deny)}, false},
		"one topic, under what is not": {[]ACL{on(Literal, "ab", Write, Allow), on(Prefixed, "a", All, Deny)}, false},
		"a prefix":                     {[]ACL{on(Prefixed, "a", All, Allow)}, true},
		"a prefix of what is not":      {[]ACL{on(Prefixed, "a", Write, Allow), on(Prefixed, "ab", Write, Deny)}, true},
		"a prefix, but not there":      {[]ACL{on(Prefixed, "a", Write, Allow), on(Prefixed, "a", Write, Deny)}, false},
		"all topics":                   {[]ACL{on(Literal, Wildcard, Write, Allow), on(Literal, "a", Write, Deny)}, true},
		"no topic at all":              {[]ACL{on(Literal, "a", Write, Allow), on(Literal, Wildcard, Write, Deny)}, false},
		"another operation":            {[]ACL{on(Literal, "a", Read, Allow)}, false},
	} {
		if got := decided(StandardConfig{}, c.acls...).AllowedSomewhere(alice, "h", Write, Topic); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestIndexIsTheSetOfItsACLs: whatever came and went, each check is answered as by a
// look at every ACL there is.
func TestIndexIsTheSetOfItsACLs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, has := decided(StandardConfig{}), map[ACL]bool{}
		for range rapid.IntRange(0, 30).Draw(t, "changes") {
			a := ACL{
				Type: rapid.SampledFrom([]ResourceType{Topic, Group}).Draw(t, "type"), Pattern: rapid.SampledFrom([]PatternType{Literal, Prefixed}).Draw(t, "pattern"),
				Name:      rapid.SampledFrom([]string{Wildcard, "a", "ab", "abc", "b"}).Draw(t, "name"),
				Principal: rapid.SampledFrom([]string{AnyUser, "User:alice", "User:bob"}).Draw(t, "principal"),
				Host:      rapid.SampledFrom([]string{Wildcard, "h"}).Draw(t, "host"), Operation: rapid.SampledFrom([]Operation{All, Read, Describe}).Draw(t, "operation"),
				Permission: rapid.SampledFrom([]Permission{Allow, Allow, Deny}).Draw(t, "permission"),
			}
			if has[a] {
				delete(has, a)
				s.Change(nil, []ACL{a})
			} else {
				has[a] = true
				s.Change([]ACL{a}, nil)
			}
		}
		for _, name := range []string{"a", "ab", "abcd", "c"} {
			for _, op := range []Operation{Read, Describe, Write} {
				if got, want := s.Allowed(alice, "h", op, Resource{Topic, name}), searched(has, op, name); got != want {
					t.Fatalf("%d of %s by %v: %v, want %v", op, name, has, got, want)
				}
			}
		}
		if len(has) == 0 && len(s.rules.Load().literal)+len(s.rules.Load().prefixed)+len(s.rules.Load().lengths[Topic]) > 0 {
			t.Fatal("something stays of ACLs that went")
		}
	})
}

// searched answers for alice by all ACLs.
func searched(has map[ACL]bool, op Operation, topic string) (allowed bool) {
	for a := range has {
		named := a.Name == topic || a.Name == Wildcard && a.Pattern == Literal || a.Pattern == Prefixed && strings.HasPrefix(topic, a.Name)
		implied := a.Permission == Allow && op == Describe && a.Operation == Read
		if a.Type != Topic || !named || a.Principal == "User:bob" || a.Operation != All && a.Operation != op && !implied {
			continue
		}
		if a.Permission == Deny {
			return false
		}
		allowed = true
	}
	return allowed
}

// crowded has 10,000 ACLs, of which some are about each topic.
func crowded() *Standard {
	var acls []ACL
	for n := range 9_000 {
		acls = append(acls, ACL{Topic, Literal, fmt.Sprintf("orders-%d", n), "User:alice", Wildcard, Write, Allow})
	}
	for n := range 1_000 {
		acls = append(acls, ACL{Topic, Prefixed, "orders-"[:1+n%7] + strings.Repeat("x", n/7%5), fmt.Sprintf("User:%d", n), Wildcard, All, Deny})
	}
	return decided(StandardConfig{SuperUsers: []Principal{bob}}, acls...)
}

func TestChecksTakeNoMemory(t *testing.T) {
	s, topic := crowded(), Resource{Topic, "orders-4711"}
	if n := testing.AllocsPerRun(100, func() { s.Allowed(alice, "10.0.0.1", Write, topic) }); n > 0 {
		t.Errorf("%v allocations a check", n)
	}
}

// BenchmarkAllowed is a check where an ACL names the topic, among 10,000, and one where 1,000
// rules of other principals are about prefixes of it besides.
func BenchmarkAllowed(b *testing.B) {
	var few []ACL
	for n := range 10_000 {
		few = append(few, ACL{Topic, Literal, fmt.Sprintf("orders-%d", n), "User:alice", Wildcard, Write, Allow})
	}
	for name, s := range map[string]*Standard{"literal": decided(StandardConfig{}, few...), "crowded": crowded()} {
		b.Run(name, func(b *testing.B) {
			topic := Resource{Topic, "orders-4711"}
			b.ReportAllocs()
			for b.Loop() {
				if !s.Allowed(alice, "10.0.0.1", Write, topic) {
					b.Fatal("refused")
				}
			}
		})
	}
}

// BenchmarkChange adds one ACL to 10,000.
func BenchmarkChange(b *testing.B) {
	s, one := crowded(), []ACL{on(Prefixed, "new", Read, Allow)}
	for b.Loop() {
		s.Change(one, nil)
		s.Change(nil, one)
	}
}
