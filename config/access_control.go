package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/klamm-io/klamm/security"
)

// authorizerClass is no class of Java's, but the name of the one that is served.
var authorizerClass = rule{security.StandardClass, func(name, value string) error {
	if value == "" || value == security.StandardClass {
		return nil
	}
	return invalid(name, value, "the only authorizer is "+security.StandardClass+"; no other can be loaded")
}}

// principals is a list of principals, which semicolons part.
var principals = rule{"User:name; …", func(name, value string) error {
	if _, err := parsePrincipals(value); err != nil {
		return invalid(name, value, err.Error())
	}
	return nil
}}

func parsePrincipals(list string) (all []security.Principal, err error) {
	for item := range strings.SplitSeq(list, ";") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		p, err := security.ParsePrincipal(item)
		if err != nil {
			return nil, err
		}
		if p.Type == security.NodeType {
			return nil, fmt.Errorf("%s is of a type that only the cluster's nodes have", item)
		}
		all = append(all, p)
	}
	return all, nil
}

// fillAccessControl reads who may do what besides the ACLs. Super users without an
// authorizer are an error: whoever names them believes that others may do less.
func (b *Broker) fillAccessControl() error {
	if b.value("authorizer.class.name") == "" {
		if b.value("super.users") != "" {
			return errors.New("super.users: without authorizer.class.name everyone may do everything; set it to " + security.StandardClass + ", or remove the key")
		}
		return nil
	}
	superUsers, err := parsePrincipals(b.value("super.users"))
	if err != nil {
		return fmt.Errorf("super.users: %w", err)
	}
	b.AccessControl = &security.StandardConfig{SuperUsers: superUsers, AllowIfNone: b.bool("allow.everyone.if.no.acl.found")}
	return nil
}
