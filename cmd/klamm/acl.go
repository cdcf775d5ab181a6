package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newACLCommand(env *environment) *cobra.Command {
	return parentCommand("acl", "List, create and delete ACLs: who may do what",
		newACLListCommand(env),
		newACLCreateCommand(env),
		newACLDeleteCommand(env),
	)
}

// acl is one ACL as it is listed.
type acl struct {
	Type       string `json:"resource_type"`
	Name       string `json:"resource_name"`
	Pattern    string `json:"pattern"`
	Principal  string `json:"principal"`
	Host       string `json:"host"`
	Operation  string `json:"operation"`
	Permission string `json:"permission"`
}

// String says it in a line.
func (a acl) String() string {
	return fmt.Sprintf("%s %s from %s to %s %s %s (%s)", a.Permission, a.Principal, a.Host, a.Operation, strings.ToLower(strings.ReplaceAll(a.Type, "_", " ")), a.Name, a.Pattern)
}

func compareACLs(a, b acl) int {
	return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Name, b.Name), strings.Compare(a.Pattern, b.Pattern), strings.Compare(a.Principal, b.Principal),
		strings.Compare(a.Host, b.Host), strings.Compare(a.Operation, b.Operation), strings.Compare(a.Permission, b.Permission))
}

// twoPhaseCommit is an operation of Kafka's that kmsg has no word for (KIP-939).
const (
	twoPhaseCommit     = kmsg.ACLOperation(15)
	twoPhaseCommitWord = "TWO_PHASE_COMMIT"
)

func operationWord(op kmsg.ACLOperation) string {
	if op == twoPhaseCommit {
		return twoPhaseCommitWord
	}
	return op.String()
}

// operationWords are those that an ACL can have.
func operationWords() []string {
	var words []string
	for op := kmsg.ACLOperationAll; op <= twoPhaseCommit; op++ {
		words = append(words, strings.ToLower(strings.ReplaceAll(operationWord(op), "_", "-")))
	}
	return words
}

// aclSelection is what the flags of a command say of ACLs: those to create, or, where
// something is not said, all that have any of it.
type aclSelection struct {
	topics, groups, txnIDs []string
	cluster                bool
	pattern                string
	allow, deny            []string
	hosts                  []string
	operations             []string
}

func (s *aclSelection) addFlags(env *environment, cmd *cobra.Command, pattern, patterns string) {
	flags := cmd.Flags()
	flags.StringSliceVarP(&s.topics, "topic", "t", nil, "about these `TOPIC`s; * is all")
	flags.StringSliceVarP(&s.groups, "group", "g", nil, "about these `GROUP`s; * is all")
	flags.StringSliceVar(&s.txnIDs, "transactional-id", nil, "about these transactional `ID`s; * is all")
	flags.BoolVar(&s.cluster, "cluster", false, "about the cluster as a whole")
	flags.StringVar(&s.pattern, "resource-pattern-type", pattern, "what the names stand for, "+patterns)
	flags.StringArrayVar(&s.allow, "allow-principal", nil, "`PRINCIPAL` that is allowed, as User:alice; User:* is everyone; may be repeated")
	flags.StringArrayVar(&s.deny, "deny-principal", nil, "`PRINCIPAL` that is denied; may be repeated")
	flags.StringSliceVar(&s.operations, "operation", nil, "`OPERATION`s: "+strings.Join(operationWords(), ", "))
	must(cmd.RegisterFlagCompletionFunc("topic", env.completeTopics(-1)))
	must(cmd.RegisterFlagCompletionFunc("group", env.completeGroups(-1)))
	must(cmd.RegisterFlagCompletionFunc("operation", cobra.FixedCompletions(operationWords(), cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("resource-pattern-type", cobra.FixedCompletions(strings.Split(patterns, ", "), cobra.ShellCompDirectiveNoFileComp)))
}

// aclFilter is a filter of ACLs; one that names everything is an ACL.
type aclFilter = kmsg.DeleteACLsRequestFilter

// filters are the selection's, one for each combination of what it names.
func (s *aclSelection) filters(cmd *cobra.Command) ([]aclFilter, error) {
	every := kmsg.NewDeleteACLsRequestFilter()
	every.ResourceType, every.Operation, every.PermissionType = kmsg.ACLResourceTypeAny, kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	var err error
	if every.ResourcePatternType, err = kmsg.ParseACLResourcePatternType(s.pattern); err != nil {
		return nil, badUsage(cmd, "--resource-pattern-type %s: there is no such pattern", s.pattern)
	}
	operations, err := s.parseOperations(cmd)
	if err != nil {
		return nil, err
	}
	for _, p := range slices.Concat(s.allow, s.deny) {
		if kind, _, found := strings.Cut(p, ":"); !found || kind == "" {
			return nil, badUsage(cmd, "%q is no principal; it is written as User:alice", p)
		}
	}
	all := s.eachResource([]aclFilter{every})
	all = each(all, slices.Concat(s.allow, s.deny), func(f *aclFilter, i int, principal string) {
		f.Principal, f.PermissionType = &principal, kmsg.ACLPermissionTypeAllow
		if i >= len(s.allow) {
			f.PermissionType = kmsg.ACLPermissionTypeDeny
		}
	})
	all = each(all, s.hosts, func(f *aclFilter, _ int, host string) { f.Host = &host })
	return each(all, operations, func(f *aclFilter, _ int, op kmsg.ACLOperation) { f.Operation = op }), nil
}

func (s *aclSelection) parseOperations(cmd *cobra.Command) (all []kmsg.ACLOperation, err error) {
	for _, word := range s.operations {
		op, err := kmsg.ParseACLOperation(word)
		if strings.EqualFold(strings.ReplaceAll(word, "-", "_"), twoPhaseCommitWord) {
			op, err = twoPhaseCommit, nil
		}
		if err != nil || op == kmsg.ACLOperationAny {
			return nil, badUsage(cmd, "--operation %s: it is one of %s", word, strings.Join(operationWords(), ", "))
		}
		all = append(all, op)
	}
	return all, nil
}

// named is a resource that a flag names.
type named struct {
	kind kmsg.ACLResourceType
	name string
}

func (s *aclSelection) resources() (all []named) {
	for kind, names := range map[kmsg.ACLResourceType][]string{
		kmsg.ACLResourceTypeTopic: s.topics, kmsg.ACLResourceTypeGroup: s.groups, kmsg.ACLResourceTypeTransactionalId: s.txnIDs,
	} {
		for _, name := range names {
			all = append(all, named{kind, name})
		}
	}
	if s.cluster {
		all = append(all, named{kmsg.ACLResourceTypeCluster, "kafka-cluster"})
	}
	slices.SortStableFunc(all, func(a, b named) int { return cmp.Compare(a.kind, b.kind) })
	return all
}

func (s *aclSelection) eachResource(filters []aclFilter) []aclFilter {
	return each(filters, s.resources(), func(f *aclFilter, _ int, r named) { f.ResourceType, f.ResourceName = r.kind, &r.name })
}

// each multiplies filters by values; without any they stay as they are.
func each[T any](filters []aclFilter, values []T, set func(*aclFilter, int, T)) (all []aclFilter) {
	if len(values) == 0 {
		return filters
	}
	for _, f := range filters {
		for i, v := range values {
			set(&f, i, v)
			all = append(all, f)
		}
	}
	return all
}

// aclTrouble says why ACLs could not be asked for or changed.
func aclTrouble(doing string, err error, clusterSays *string) error {
	why := reason(err, orBlank(clusterSays))
	if errors.Is(err, kerr.SecurityDisabled) {
		why += ": set authorizer.class.name on every node"
	}
	return fmt.Errorf("%s ACLs: %s", doing, why)
}
