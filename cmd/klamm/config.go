package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newConfigCommand(env *environment) *cobra.Command {
	return parentCommand("config", "Describe and alter the configs of topics and brokers",
		newConfigDescribeCommand(env),
		newConfigAlterCommand(env),
	)
}

// The kinds of things that have configs.
const (
	kindTopic  = "topic"
	kindBroker = "broker"
)

// configTarget is the thing whose configs are meant: a topic, a broker, or with
// no name what holds for all brokers.
type configTarget struct {
	kind   string
	name   string
	broker []int32 // the name as a number; empty for all brokers
}

// parseConfigTarget reads `topic NAME`, `broker ID` or `broker`.
func parseConfigTarget(cmd *cobra.Command, args []string) (configTarget, error) {
	target := configTarget{kind: args[0]}
	if len(args) > 1 {
		target.name = args[1]
	}
	switch {
	case target.kind == kindTopic && target.name == "":
		return target, badUsage(cmd, "name the topic: %s topic NAME", cmd.CommandPath())
	case target.kind == kindBroker && target.name != "":
		id, err := strconv.ParseInt(target.name, 10, 32)
		if err != nil {
			return target, badUsage(cmd, "%q is no broker: brokers are named by number, and none stands for all", target.name)
		}
		target.broker = []int32{int32(id)}
	case target.kind != kindTopic && target.kind != kindBroker:
		return target, badUsage(cmd, "%q has no configs: it is topic or broker", target.kind)
	}
	return target, nil
}

// String is the target in words.
func (t configTarget) String() string {
	if t.kind == kindBroker && t.name == "" {
		return "all brokers"
	}
	return t.kind + " " + t.name
}

// failure says why something about the target's configs failed.
func (t configTarget) failure(ctx context.Context, admin *kadm.Client, doing string, err error, clusterSays string) error {
	if t.kind == kindTopic && errors.Is(err, kerr.UnknownTopicOrPartition) {
		return unknownTopic(ctx, admin, t.name)
	}
	if brokers, listErr := admin.ListBrokers(ctx); listErr == nil && len(t.broker) > 0 && !slices.Contains(brokers.NodeIDs(), t.broker[0]) {
		return fmt.Errorf("there is no broker %s: there are %s", t.name, joinInts(brokers.NodeIDs()))
	}
	return fmt.Errorf("%s configs of %s: %s", doing, t, reason(err, clusterSays))
}

// completeConfigTarget offers the kind first, then names of topics.
func (e *environment) completeConfigTarget(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	switch {
	case len(args) == 0:
		return []string{kindTopic, kindBroker}, cobra.ShellCompDirectiveNoFileComp
	case len(args) == 1 && args[0] == kindTopic:
		return e.completeTopics(-1)(cmd, args, typed)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// describedConfig is one config of a topic or broker. The value is null where
// it is sensitive, or where there is none.
type describedConfig struct {
	Name      string  `json:"name"`
	Value     *string `json:"value"`
	Source    string  `json:"source"`
	Sensitive bool    `json:"sensitive"`
}

// text is the value for people.
func (c describedConfig) text() string {
	switch {
	case c.Sensitive:
		return "(hidden)"
	case c.Value == nil:
		return "null"
	}
	return *c.Value
}

// chosenConfigs are those that somebody chose: not the cluster's defaults.
func chosenConfigs(configs []kadm.Config) []describedConfig {
	return describedConfigs(slices.DeleteFunc(slices.Clone(configs), func(c kadm.Config) bool {
		return c.Source == kmsg.ConfigSourceDefaultConfig
	}))
}

// describedConfigs are configs by name.
func describedConfigs(configs []kadm.Config) []describedConfig {
	all := []describedConfig{}
	for _, c := range configs {
		all = append(all, describedConfig{Name: c.Key, Value: c.Value, Source: c.Source.String(), Sensitive: c.Sensitive})
	}
	slices.SortFunc(all, func(a, b describedConfig) int { return strings.Compare(a.Name, b.Name) })
	return all
}
