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

func (e *environment) completeNames(most int, list func(context.Context, *kadm.Client) ([]string, error)) completion {
	return func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveDefault
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
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
