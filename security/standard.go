package security

import (
	"maps"
	"slices"
	"sync/atomic"
)

// StandardClass is what authorizer.class.name calls the [Standard] authorizer.
const StandardClass = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"

// StandardConfig is how a [Standard] is set.
type StandardConfig struct {
	SuperUsers []Principal // may do everything, whatever the ACLs say
	// AllowIfNone lets everyone do everything to a resource that no ACL is about.
	AllowIfNone bool
}

// Standard decides by ACLs as Kafka's StandardAuthorizer does: who is denied is
// refused, then who is allowed is let in, and then nobody. It is shut until it is
// opened: before the first of the metadata is known, nobody can be told from anybody.
//
// Checks look at an index that is never changed, and take no lock; Change puts the
// next in its place.
type Standard struct {
	superUsers  map[Principal]bool
	allowIfNone bool
	rules       atomic.Pointer[ruleIndex]
	open        atomic.Bool
}

// NewStandard returns an authorizer that is shut and has no ACLs.
func NewStandard(c StandardConfig) *Standard {
	s := &Standard{superUsers: map[Principal]bool{}, allowIfNone: c.AllowIfNone}
	for _, p := range c.SuperUsers {
		s.superUsers[p] = true
	}
	s.rules.Store(newRuleIndex())
	return s
}

// Open begins to decide.
func (s *Standard) Open() { s.open.Store(true) }

// Ready reports whether it was opened.
func (s *Standard) Ready() bool { return s.open.Load() }

// Change adds and removes ACLs. One goroutine at a time may call it.
func (s *Standard) Change(added, removed []ACL) {
	if len(added)+len(removed) > 0 {
		s.rules.Store(s.rules.Load().with(added, removed))
	}
}

// Allowed implements [Authorizer].
func (s *Standard) Allowed(who Principal, host string, op Operation, res Resource) bool {
	switch {
	case s.superUsers[who]:
		return true
	case !s.open.Load():
		return false
	}
	v := verdict{who: who, host: host, op: op}
	s.rules.Load().ask(res, &v)
	switch {
	case v.denied:
		return false
	case v.allowed:
		return true
	}
	return !v.any && s.allowIfNone
}

// AllowedSomewhere implements [Authorizer].
func (s *Standard) AllowedSomewhere(who Principal, host string, op Operation, kind ResourceType) bool {
	if s.Allowed(who, host, op, Resource{kind, "hardcode"}) { // as Kafka asks, for super users above all
		return true
	}
	return s.open.Load() && s.rules.Load().allowsSomewhere(verdict{who: who, host: host, op: op}, kind)
}

// rule is an ACL without the resources that it is about.
type rule struct {
	who  Principal
	host string
	op   Operation
	does Permission
}

var anyUser = Principal{Type: "User", Name: Wildcard}

// about reports whether a rule is about a principal on a host.
func (r *rule) about(v *verdict) bool {
	return (r.who == v.who || r.who == anyUser && v.who.Type != NodeType) && (r.host == Wildcard || r.host == v.host)
}

// covers reports whether a rule is about an operation. Who may do something to a
// resource may also look at it; but who may not do the one may still do the other.
func (r *rule) covers(op Operation) bool {
	switch {
	case r.op == All || r.op == op:
		return true
	case r.does == Deny:
		return false
	case op == Describe:
		return r.op == Read || r.op == Write || r.op == Delete || r.op == Alter
	}
	return op == DescribeConfigs && r.op == AlterConfigs
}

// verdict is a question, and what the rules looked at so far have to say.
type verdict struct {
	who  Principal
	host string
	op   Operation

	any     bool // some ACL is about the resource
	denied  bool
	allowed bool
}

func (v *verdict) hear(rules []rule) {
	v.any = v.any || len(rules) > 0
	for i := range rules {
		if r := &rules[i]; r.about(v) && r.covers(v.op) {
			v.denied = v.denied || r.does == Deny
			v.allowed = v.allowed || r.does == Allow
		}
	}
}

// ruleIndex finds the rules about a resource: those of its name, those of all names,
// and those of each beginning of its name.
type ruleIndex struct {
	literal  map[Resource][]rule
	prefixed map[Resource][]rule
	// lengths are those that prefixes of a type have, in order, and how many have each.
	lengths map[ResourceType][]lengthCount
}

type lengthCount struct{ length, prefixes int }

func newRuleIndex() *ruleIndex {
	return &ruleIndex{literal: map[Resource][]rule{}, prefixed: map[Resource][]rule{}, lengths: map[ResourceType][]lengthCount{}}
}

func (x *ruleIndex) ask(res Resource, v *verdict) {
	v.hear(x.literal[res])
	if res.Name != Wildcard {
		v.hear(x.literal[Resource{res.Type, Wildcard}])
	}
	for _, l := range x.lengths[res.Type] {
		if l.length > len(res.Name) {
			return
		}
		v.hear(x.prefixed[Resource{res.Type, res.Name[:l.length]}])
	}
}

// with returns the index after a change. What did not change is shared.
func (x *ruleIndex) with(added, removed []ACL) *ruleIndex {
	next := &ruleIndex{literal: maps.Clone(x.literal), prefixed: maps.Clone(x.prefixed), lengths: maps.Clone(x.lengths)}
	for _, a := range removed {
		next.edit(a, func(rules []rule) []rule {
			gone := ruleOf(a)
			return slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return r == gone })
		})
	}
	for _, a := range added {
		next.edit(a, func(rules []rule) []rule { return append(slices.Clip(rules), ruleOf(a)) })
	}
	return next
}

func ruleOf(a ACL) rule {
	who, err := ParsePrincipal(a.Principal)
	if err != nil {
		who = Principal{Name: a.Principal} // nobody
	}
	return rule{who, a.Host, a.Operation, a.Permission}
}

// edit replaces the rules of an ACL's pattern.
func (x *ruleIndex) edit(a ACL, change func([]rule) []rule) {
	rules, at := x.literal, Resource{a.Type, a.Name}
	if a.Pattern == Prefixed {
		rules = x.prefixed
	}
	was := len(rules[at])
	is := change(rules[at])
	if len(is) > 0 {
		rules[at] = is
	} else {
		delete(rules, at)
	}
	if a.Pattern == Prefixed && (was == 0) != (len(is) == 0) {
		x.countLength(at, len(is) > 0)
	}
}

// countLength notes that a prefix came or went.
func (x *ruleIndex) countLength(prefix Resource, came bool) {
	lengths := slices.Clone(x.lengths[prefix.Type])
	at, found := slices.BinarySearchFunc(lengths, len(prefix.Name), func(l lengthCount, n int) int { return l.length - n })
	switch {
	case came && !found:
		lengths = slices.Insert(lengths, at, lengthCount{len(prefix.Name), 1})
	case came:
		lengths[at].prefixes++
	case lengths[at].prefixes == 1:
		lengths = slices.Delete(lengths, at, at+1)
	default:
		lengths[at].prefixes--
	}
	x.lengths[prefix.Type] = lengths
}

// allowsSomewhere reports whether some name of a type may exist to which an operation
// is allowed: one that is allowed by itself or with all that begin like it, and that
// nothing denies altogether.
func (x *ruleIndex) allowsSomewhere(v verdict, kind ResourceType) bool {
	all := x.own(v, x.literal[Resource{kind, Wildcard}])
	if all.denied || all.allowed {
		return all.allowed && !all.denied
	}
	for res, rules := range x.literal {
		if res.Type == kind && res.Name != Wildcard {
			if own := x.own(v, rules); own.allowed && !own.denied && !x.prefixDenies(v, res) {
				return true
			}
		}
	}
	for res, rules := range x.prefixed {
		if res.Type == kind && x.own(v, rules).allowed && !x.prefixDenies(v, res) {
			return true
		}
	}
	return false
}

// own is what one pattern's rules say of an operation itself: here, as in Kafka, none
// is implied by another.
func (x *ruleIndex) own(v verdict, rules []rule) verdict {
	for i := range rules {
		if r := &rules[i]; r.about(&v) && (r.op == All || r.op == v.op) {
			v.denied = v.denied || r.does == Deny
			v.allowed = v.allowed || r.does == Allow
		}
	}
	return v
}

// prefixDenies reports whether a prefix that all of a pattern falls under is denied.
func (x *ruleIndex) prefixDenies(v verdict, res Resource) bool {
	for _, l := range x.lengths[res.Type] {
		if l.length > len(res.Name) {
			break
		}
		if x.own(v, x.prefixed[Resource{res.Type, res.Name[:l.length]}]).denied {
			return true
		}
	}
	return false
}
