package security

import (
	"cmp"
	"fmt"
	"strings"
)

// Words that stand for many: a name or a host is any, and so is an operation.
const (
	Wildcard = "*"
	// AnyUser is the principal of an ACL that is about every user.
	AnyUser = "User:*"
)

// All is the operation of an ACL that is about every operation.
const All Operation = 2

// PatternType says which resources the name in an ACL stands for.
type PatternType int8

// Pattern types, numbered as in Kafka's PatternType. Match is of filters alone: it is
// every pattern that a resource of that name falls under.
const (
	AnyPattern PatternType = 1
	Match      PatternType = 2
	Literal    PatternType = 3 // the resource of that name, or with [Wildcard] all of the type
	Prefixed   PatternType = 4 // all whose names begin so
)

// Permission is what an ACL does.
type Permission int8

// Permissions, numbered as in Kafka's AclPermissionType.
const (
	Deny  Permission = 2
	Allow Permission = 3
)

// Any is the number that filters have for any resource type, operation or permission.
const Any = 1

// ACL lets a principal do something to resources, or forbids it. Two that are equal
// are one.
type ACL struct {
	Type       ResourceType
	Pattern    PatternType // Literal or Prefixed
	Name       string
	Principal  string // as Type:Name, or AnyUser
	Host       string // an IP address, or Wildcard
	Operation  Operation
	Permission Permission
}

// Compare sorts ACLs so that those of one pattern stand side by side.
func (a ACL) Compare(b ACL) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), strings.Compare(a.Name, b.Name), cmp.Compare(a.Pattern, b.Pattern),
		strings.Compare(a.Principal, b.Principal), strings.Compare(a.Host, b.Host),
		cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Permission, b.Permission))
}

// Filter picks ACLs. Nil is any name, principal or host; [Any] any of what has a number.
type Filter struct {
	Type       ResourceType
	Pattern    PatternType
	Name       *string
	Principal  *string
	Host       *string
	Operation  Operation
	Permission Permission
}

// Matches reports whether the filter picks an ACL.
func (f *Filter) Matches(a ACL) bool {
	return (f.Type == Any || f.Type == a.Type) && f.matchesName(a) &&
		(f.Principal == nil || *f.Principal == a.Principal) && (f.Host == nil || *f.Host == a.Host) &&
		(f.Operation == Any || f.Operation == a.Operation) && (f.Permission == Any || f.Permission == a.Permission)
}

func (f *Filter) matchesName(a ACL) bool {
	switch {
	case f.Pattern != AnyPattern && f.Pattern != Match && f.Pattern != a.Pattern:
		return false
	case f.Name == nil:
		return true
	case f.Pattern != Match:
		return *f.Name == a.Name
	case a.Pattern == Prefixed:
		return strings.HasPrefix(*f.Name, a.Name)
	}
	return *f.Name == a.Name || a.Name == Wildcard
}

// ParsePrincipal reads Kafka's form, "User:alice". A name may hold colons.
func ParsePrincipal(s string) (Principal, error) {
	kind, name, found := strings.Cut(s, ":")
	if !found || kind == "" {
		return Principal{}, fmt.Errorf("%q is no principal: it is written as User:alice", s)
	}
	return Principal{Type: kind, Name: name}, nil
}
