package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// consumeOptions is what `klamm consume` is asked for.
type consumeOptions struct {
	from       string
	group      string
	partitions []int32
	format     string
	output     string
	count      int64 // 0: no limit
	exitAtEnd  bool

	fromBeginning bool
}

func newConsumeCommand(env *environment) *cobra.Command {
	o := &consumeOptions{}
	cmd := &cobra.Command{
		Use:   "consume TOPIC…",
		Short: "Print the records of topics",
		Long: `Print the records of topics, and go on with those that come, until interrupted,
or until --count or --exit-at-end ends it.

--format says how a record is printed:
  %t topic   %p partition   %o offset   %T timestamp (Unix milliseconds)
  %k key     %s or %v value %K and %S their lengths in bytes, -1 for null
  %h headers %% a percent sign          \n \r \t \xNN \\ as usual

With --group the members of a group share the partitions, and what was printed
is committed. --from then counts only where the group has no offset yet.`,
		Example: `  klamm consume flights --from -10 --exit-at-end
  klamm consume flights -n 3 -f '%p@%o %k: %s\n'
  klamm consume flights --from 2026-03-01T08:00:00Z --output json
  klamm consume flights --group board`,
		Args:              arguments(1, -1),
		ValidArgsFunction: env.completeTopics(-1),
	}
	o.addFlags(env, cmd)
	cmd.RunE = func(cmd *cobra.Command, topics []string) error {
		return env.consume(cmd, topics, o)
	}
	return cmd
}

func (o *consumeOptions) addFlags(env *environment, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.from, "from", "beginning", "beginning, end, an offset, -N for the last N of each partition, a time (RFC 3339), or @ and Unix milliseconds")
	flags.StringVarP(&o.group, "group", "g", "", "read as a member of this group, and commit offsets")
	flags.Int32SliceVarP(&o.partitions, "partition", "p", nil, "read only these partitions")
	flags.StringVarP(&o.format, "format", "f", `%s\n`, "how a record is printed")
	flags.StringVarP(&o.output, "output", "o", "text", "text (as --format says) or json (one object a line)")
	flags.Int64VarP(&o.count, "count", "n", 0, "exit after this many records")
	flags.BoolVarP(&o.exitAtEnd, "exit-at-end", "e", false, "exit when the records that were there at the start are printed")
	flags.BoolVar(&o.fromBeginning, "from-beginning", false, "as Kafka's script has it: --from beginning")
	must(flags.MarkHidden("from-beginning"))
	must(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions([]string{"beginning", "end"}, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("group", env.completeGroups(-1)))
}

// check refuses what cannot be done together.
func (o *consumeOptions) check(cmd *cobra.Command, topics []string) error {
	switch flags := cmd.Flags(); {
	case o.output != "text" && flags.Changed("format"):
		return badUsage(cmd, "--format is for --output text")
	case o.fromBeginning && flags.Changed("from"):
		return badUsage(cmd, "pass either --from-beginning or --from")
	case flags.Changed("count") && o.count < 1:
		return badUsage(cmd, "--count %d: it is 1 or more", o.count)
	case o.group != "" && len(o.partitions) > 0:
		return badUsage(cmd, "--partition does not go with --group: a group shares the partitions out by itself")
	case len(o.partitions) > 0 && len(topics) > 1:
		return badUsage(cmd, "--partition goes with one topic, not with %d", len(topics))
	}
	return nil
}

// consume finds out where to begin, and reads from there.
func (e *environment) consume(cmd *cobra.Command, topics []string, o *consumeOptions) error {
	if err := o.check(cmd, topics); err != nil {
		return err
	}
	printer, err := newPrinter(o.output, o.format)
	if err != nil {
		return badUsage(cmd, "%v", err)
	}
	from, err := parseStart(o.from)
	if err != nil {
		return badUsage(cmd, "--from %v", err)
	}
	c := &consumption{env: e, options: o, print: printer}
	if err := e.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
		return c.plan(cmd.Context(), admin, topics, from)
	}); err != nil {
		return err
	}
	client, err := e.connect(cmd.Context(), c.clientOptions(topics)...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	c.client = client
	return c.run(cmd.Context())
}

// plan decides which partitions are read, and from where to where.
func (c *consumption) plan(ctx context.Context, admin *kadm.Client, topics []string, from startPoint) error {
	held, err := heldPartitions(ctx, admin, c.env.readsCommitted(), topics, c.options.partitions)
	if err != nil {
		return err
	}
	if len(c.options.partitions) > 0 && from.kind == startOffset {
		for tp, span := range held {
			if from.n < span.start || from.n > span.end {
				return fmt.Errorf("offset %d is not in partition %s, which holds %d to %d. Pass --from beginning, end, or an offset in between",
					from.n, tp, span.start, span.end)
			}
		}
	}
	c.positions = newPositions(held)
	c.starts, err = from.resolve(ctx, admin, held, topics...)
	return err
}

// heldPartitions is what the topics hold, or only the partitions named.
func heldPartitions(ctx context.Context, admin *kadm.Client, committedOnly bool, topics []string, only []int32) (map[topicPartition]span, error) {
	var read []topicPartition
	for _, topic := range topics {
		partitions, err := partitionsOf(ctx, admin, topic, only)
		if err != nil {
			return nil, err
		}
		for _, partition := range partitions {
			read = append(read, topicPartition{Topic: topic, Partition: partition})
		}
	}
	all, err := spans(ctx, admin, committedOnly, topics...)
	if err != nil {
		return nil, err
	}
	held := map[topicPartition]span{}
	for _, tp := range read {
		held[tp] = all[tp]
	}
	return held, nil
}

// clientOptions make the client read what was planned. Control records are
// asked for because they too move a partition to its end; they are not printed.
func (c *consumption) clientOptions(topics []string) []kgo.Opt {
	opts := []kgo.Opt{kgo.KeepControlRecords(), kgo.FetchMaxWait(500 * time.Millisecond), kgo.KeepRetryableFetchErrors()}
	if c.options.group != "" {
		return append(opts,
			kgo.ConsumerGroup(c.options.group),
			kgo.ConsumeTopics(topics...),
			kgo.AutoCommitMarks(),
			kgo.BlockRebalanceOnPoll(),
			kgo.AdjustFetchOffsetsFn(c.assigned),
			kgo.OnPartitionsRevoked(c.revoked),
			kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { c.positions.revoke(lost) }))
	}
	begin := map[string]map[int32]kgo.Offset{}
	for tp, offset := range c.starts {
		if begin[tp.Topic] == nil {
			begin[tp.Topic] = map[int32]kgo.Offset{}
		}
		begin[tp.Topic][tp.Partition] = kgo.NewOffset().At(offset)
	}
	c.positions.assign(c.starts)
	return append(opts, kgo.ConsumePartitions(begin))
}
