package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
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

func (e *environment) completeNames(most int, list lister) completion {
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
		keys, directive := e.offer(cmd.Context(), func(ctx context.Context, admin *kadm.Client) (keys []string, err error) {
			configs, err := target(args).describe(ctx, admin)
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
func (e *environment) offer(ctx context.Context, list lister) (names []string, _ cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	err := e.withAdmin(ctx, func(admin *kadm.Client) (err error) {
		names, err = list(ctx, admin)
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
	return topics.Names(), nil
}

func groupNames(ctx context.Context, admin *kadm.Client) ([]string, error) {
	groups, err := admin.ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	return groups.Groups(), nil
}
