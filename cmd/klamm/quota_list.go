package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newQuotaListCommand(env *environment) *cobra.Command {
	var entity quotaEntity
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List quotas, all or those that are named",
		Long: `List quotas, all or those of whom the flags name: with --for-user those of the user
with whichever client id too.`,
		Example: `  klamm quota list
  klamm quota list --for-user alice`,
		Args: arguments(0, 0),
	}
	entity.addFlags(cmd)
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		parts, err := entity.parts(cmd)
		if err != nil {
			return err
		}
		return env.withClient(cmd.Context(), func(client *kgo.Client) error {
			found, err := findQuotas(cmd.Context(), client, parts, false)
			if err != nil {
				return err
			}
			t := newTable("USER", "CLIENT-ID", "IP", "QUOTA", "VALUE")
			for _, q := range found {
				t.add(q.User, q.ClientID, q.IP, q.Quota, quotaNumber(q.Value))
			}
			return env.show(*output, t, found)
		})
	}
	return cmd
}

// findQuotas returns the quotas of who has those parts, sorted; strictly, and no others.
func findQuotas(ctx context.Context, client *kgo.Client, parts []quotaPart, strictly bool) ([]quotaRow, error) {
	req := kmsg.NewPtrDescribeClientQuotasRequest()
	req.Strict = strictly
	for _, p := range parts {
		c := kmsg.DescribeClientQuotasRequestComponent{EntityType: p.kind, MatchType: kmsg.QuotasMatchTypeExact, Match: p.name}
		if p.name == nil {
			c.MatchType = kmsg.QuotasMatchTypeDefault
		}
		req.Components = append(req.Components, c)
	}
	resp, err := req.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		var says *string
		if resp != nil {
			says = resp.ErrorMessage
		}
		return nil, fmt.Errorf("list quotas: %w", errors.New(reason(err, orBlank(says))))
	}
	found := []quotaRow{}
	for _, e := range resp.Entries {
		var of []quotaPart
		for _, p := range e.Entity {
			of = append(of, quotaPart{p.Type, p.Name})
		}
		for _, v := range e.Values {
			found = append(found, rowOf(of, v.Key, v.Value))
		}
	}
	slices.SortFunc(found, compareQuotas)
	return found, nil
}
