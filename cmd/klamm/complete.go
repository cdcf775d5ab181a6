package main

import (
	"context"
	"maps"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/cluster/health"
)

// completionTimeout bounds how long a shell waits for names: better none than
// a prompt that hangs.
const completionTimeout = 2 * time.Second

// completion lists what a shell may offer for an argument.
type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeTopics offers the names of topics for the first most arguments (most
// < 0: for all).
func (e *environment) completeTopics(most int) completion {
	return e.completeNames(most, topicNames)
}

// completeGroups offers the names of groups for the first most arguments.
func (e *environment) completeGroups(most int) completion {
	return e.completeNames(most, groupNames)
}

// completeBrokers offers the ids of brokers for the first most arguments.
func (e *environment) completeBrokers(most int) completion {
	return e.complete(most, brokerNames)
}

func (e *environment) completeNames(most int, list lister) completion {
	return e.complete(most, func(ctx context.Context, client *kgo.Client) ([]string, error) {
		return list(ctx, kadm.NewClient(client))
	})
}

func (e *environment) complete(most int, list func(context.Context, *kgo.Client) ([]string, error)) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return e.offer(cmd.Context(), list)
	}
}

// completeConfigKeys offers the keys of the configs of what the arguments name,
// each with suffix.
func (e *environment) completeConfigKeys(target func(args []string) configTarget, suffix string) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		keys, directive := e.offer(cmd.Context(), func(ctx context.Context, client *kgo.Client) (keys []string, err error) {
			configs, err := target(args).describe(ctx, kadm.NewClient(client))
			for _, c := range configs {
				keys = append(keys, c.Key+suffix)
			}
			return keys, err
		})
		return keys, directive | cobra.ShellCompDirectiveNoSpace
	}
}

// lister asks the cluster for names.
type lister = func(context.Context, *kadm.Client) ([]string, error)

// offer asks for names, but not for long.
func (e *environment) offer(ctx context.Context, list func(context.Context, *kgo.Client) ([]string, error)) (names []string, _ cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	err := e.withClient(ctx, func(client *kgo.Client) (err error) {
		names, err = list(ctx, client)
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// topicNames lists the topics that are not internal.
func topicNames(ctx context.Context, admin *kadm.Client) ([]string, error) {
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	// The client remembers a topic that was asked for and is not there.
	maps.DeleteFunc(topics, func(_ string, t kadm.TopicDetail) bool { return t.Err != nil })
	return topics.Names(), nil
}

func groupNames(ctx context.Context, admin *kadm.Client) ([]string, error) {
	groups, err := admin.ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	return groups.Groups(), nil
}

// brokerNames lists the ids of all brokers, fenced ones too.
func brokerNames(ctx context.Context, client *kgo.Client) ([]string, error) {
	var f health.Facts
	if err := askBrokers(ctx, client, &f); err != nil {
		return nil, err
	}
	var names []string
	for _, b := range f.Brokers {
		names = append(names, itoa(b.ID))
	}
	return names, nil
}
