package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// settings are the changes of configuration that a command line asks for.
type settings struct {
	set    []string // key=value
	remove []string // key
}

// addFlags adds --set, and --delete where keys can be there already.
func (s *settings) addFlags(cmd *cobra.Command, withDelete bool) {
	cmd.Flags().StringArrayVar(&s.set, "set", nil, "set a config, `KEY=VALUE`; may be repeated")
	if withDelete {
		cmd.Flags().StringArrayVar(&s.remove, "delete", nil, "let a config `KEY` have its default again; may be repeated")
	}
}

// completeKeys lets shells complete the keys of what the arguments name.
func (s *settings) completeKeys(env *environment, cmd *cobra.Command, target func(args []string) configTarget) {
	must(cmd.RegisterFlagCompletionFunc("set", env.completeConfigKeys(target, "=")))
	must(cmd.RegisterFlagCompletionFunc("delete", env.completeConfigKeys(target, "")))
}

func (s *settings) empty() bool { return len(s.set)+len(s.remove) == 0 }

// changes is what the cluster is asked for, in the order given.
func (s *settings) changes(cmd *cobra.Command) ([]kadm.AlterConfig, error) {
	var changes []kadm.AlterConfig
	for _, pair := range s.set {
		key, value, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return nil, badUsage(cmd, "--set %s: it is written KEY=VALUE, as in --set retention.ms=3600000", pair)
		}
		if slices.Contains(s.remove, key) {
			return nil, badUsage(cmd, "%s cannot be both set and deleted", key)
		}
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value})
	}
	for _, key := range s.remove {
		changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key})
	}
	return changes, nil
}

// values is the same as CreateTopics wants it.
func (s *settings) values(cmd *cobra.Command) (map[string]*string, error) {
	changes, err := s.changes(cmd)
	values := map[string]*string{}
	for _, change := range changes {
		values[change.Name] = change.Value
	}
	return values, err
}
