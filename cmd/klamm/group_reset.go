package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm-io/klamm/internal/quantity"
)

// groupReset is what `klamm group reset` is asked for.
type groupReset struct {
	topics    []string     // TOPIC or TOPIC:0,1
	named     []namedTopic // what these say
	allTopics bool
	execute   bool
	dryRun    bool

	earliest, latest bool
	offset, shift    int64
	datetime         string
}

// resetOffset is one row of its answer.
type resetOffset struct {
	Group         string `json:"group"`
	Topic         string `json:"topic"`
	Partition     int32  `json:"partition"`
	CurrentOffset *int64 `json:"current_offset"` // null: none is committed
	NewOffset     int64  `json:"new_offset"`
}

func newGroupResetCommand(env *environment) *cobra.Command {
	r := &groupReset{}
	cmd := &cobra.Command{
		Use:   "reset GROUP",
		Short: "Move the offsets of a group that has no members",
		Long: `Move the offsets of a group that has no members. Without --execute it only shows
where they would go. Offsets outside of a partition become the nearest inside.`,
		Example: `  klamm group reset board --topic flights --to-earliest
  klamm group reset board --topic flights:0,1 --shift-by -100 --execute
  klamm group reset board --all-topics --to-datetime 2026-03-01T08:00:00Z --execute`,
		Args:              arguments(1, 1),
		ValidArgsFunction: env.completeGroups(1),
	}
	r.addFlags(env, cmd)
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if r.dryRun && r.execute {
			return badUsage(cmd, "pass either --execute or --dry-run")
		}
		target, err := r.target(cmd)
		if err != nil {
			return err
		}
		if err := r.parseTopics(cmd); err != nil {
			return err
		}
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			return env.resetGroup(cmd.Context(), admin, args[0], r, target, *output)
		})
	}
	return cmd
}

func (r *groupReset) addFlags(env *environment, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVarP(&r.topics, "topic", "t", nil, "topic, or `TOPIC:0,1` for some of its partitions; may be repeated")
	flags.BoolVar(&r.allTopics, "all-topics", false, "every topic that the group has an offset for")
	flags.BoolVar(&r.execute, "execute", false, "do it")
	flags.BoolVar(&r.dryRun, "dry-run", false, "only show where they would go, as it is without --execute")
	flags.BoolVar(&r.earliest, "to-earliest", false, "to the first record")
	flags.BoolVar(&r.latest, "to-latest", false, "to the end")
	flags.Int64Var(&r.offset, "to-offset", 0, "to this offset")
	flags.StringVar(&r.datetime, "to-datetime", "", "to the first record of this time or later: RFC 3339, or @ and Unix milliseconds")
	flags.Int64Var(&r.shift, "shift-by", 0, "by this many records, back where negative")
	must(cmd.RegisterFlagCompletionFunc("topic", env.completeTopics(-1)))
}

// resetTarget is where offsets go: a shift of what they are, or a start point.
type resetTarget struct {
	shifted bool
	shift   int64
	point   startPoint
}

// resetTargets are the flags of which exactly one must be given.
var resetTargets = []string{"to-earliest", "to-latest", "to-offset", "to-datetime", "shift-by"}

func (r *groupReset) target(cmd *cobra.Command) (resetTarget, error) {
	var given []string
	for _, name := range resetTargets {
		if cmd.Flags().Changed(name) {
			given = append(given, name)
		}
	}
	if len(given) != 1 {
		return resetTarget{}, badUsage(cmd, "pass exactly one of --%s", strings.Join(resetTargets, ", --"))
	}
	if r.allTopics == (len(r.topics) > 0) {
		return resetTarget{}, badUsage(cmd, "pass either --topic or --all-topics")
	}
	switch given[0] {
	case "to-earliest":
		return resetTarget{point: startPoint{kind: startBeginning}}, nil
	case "to-latest":
		return resetTarget{point: startPoint{kind: startEnd}}, nil
	case "to-offset":
		return resetTarget{point: startPoint{kind: startOffset, n: r.offset}}, nil
	case "shift-by":
		return resetTarget{shifted: true, shift: r.shift}, nil
	}
	at, err := parseTime(r.datetime)
	if err != nil {
		return resetTarget{}, badUsage(cmd, "--to-datetime %q is no time: it is RFC 3339, as 2013-01-01T10:00:00Z, or @ and Unix milliseconds", r.datetime)
	}
	return resetTarget{point: startPoint{kind: startTime, time: at}}, nil
}

func (e *environment) resetGroup(ctx context.Context, admin *kadm.Client, group string, r *groupReset, target resetTarget, output outputFormat) error {
	view, err := viewGroup(ctx, admin, group)
	if err != nil {
		return err
	}
	if view.state != stateEmpty && view.state != stateDead {
		return fmt.Errorf("group %s is %s with %s: offsets can be reset only when it has none. Stop them first; see `klamm group describe %s`",
			group, view.state, quantity.Counted(int64(len(view.members)), "member", "members"), group)
	}
	committed, err := committedOffsets(ctx, admin, group)
	if err != nil {
		return err
	}
	held, err := r.held(ctx, admin, group, committed)
	if err != nil {
		return err
	}
	moves, err := target.moves(ctx, admin, held, committed)
	if err != nil {
		return err
	}
	if r.execute {
		if err := commitMoves(ctx, admin, group, moves); err != nil {
			return err
		}
	}
	return e.showReset(group, moves, committed, r.execute, output)
}

// held is what the partitions hold whose offsets are to move.
func (r *groupReset) held(ctx context.Context, admin *kadm.Client, group string, committed map[topicPartition]int64) (map[topicPartition]span, error) {
	if r.allTopics {
		return heldWhereCommitted(ctx, admin, group, committed)
	}
	held := map[topicPartition]span{}
	for _, named := range r.named {
		part, err := heldPartitions(ctx, admin, false, []string{named.topic}, named.partitions)
		if err != nil {
			return nil, err
		}
		maps.Copy(held, part)
	}
	return held, nil
}

func heldWhereCommitted(ctx context.Context, admin *kadm.Client, group string, committed map[topicPartition]int64) (map[topicPartition]span, error) {
	topics := topicsOf(groupView{}, committed)
	if len(topics) == 0 {
		return nil, fmt.Errorf("group %s has no offsets. Name topics with --topic, or see `klamm group list`", group)
	}
	held, err := heldPartitions(ctx, admin, false, topics, nil)
	maps.DeleteFunc(held, func(tp topicPartition, _ span) bool { _, found := committed[tp]; return !found })
	return held, err
}

// namedTopic is a topic, and the partitions of it that were named; none stands
// for all.
type namedTopic struct {
	topic      string
	partitions []int32
}

func (r *groupReset) parseTopics(cmd *cobra.Command) error {
	for _, text := range r.topics {
		named, err := parseNamedTopic(text)
		if err != nil {
			return badUsage(cmd, "--topic %s: %v", text, err)
		}
		r.named = append(r.named, named)
	}
	return nil
}

// parseNamedTopic reads TOPIC or TOPIC:0,1; topics have no colon in their names.
func parseNamedTopic(text string) (namedTopic, error) {
	topic, list, found := strings.Cut(text, ":")
	named := namedTopic{topic: topic}
	for _, part := range splitList(list) {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil || n < 0 {
			return named, fmt.Errorf("%q is no partition; it is written TOPIC or TOPIC:0,1", part)
		}
		named.partitions = append(named.partitions, int32(n))
	}
	if topic == "" || found && len(named.partitions) == 0 {
		return named, errors.New("it is written TOPIC or TOPIC:0,1")
	}
	return named, nil
}

// moves gives the new offset of each partition. A shift leaves out partitions
// that have no offset to shift.
func (t resetTarget) moves(ctx context.Context, admin *kadm.Client, held map[topicPartition]span, committed map[topicPartition]int64) (map[topicPartition]int64, error) {
	if !t.shifted {
		return t.point.resolve(ctx, admin, held, topicsOfSpans(held)...)
	}
	moves := map[topicPartition]int64{}
	for tp, span := range held {
		if at, found := committed[tp]; found {
			moves[tp] = startPoint{kind: startOffset, n: at + t.shift}.offset(span, 0)
		}
	}
	return moves, nil
}

func topicsOfSpans(held map[topicPartition]span) []string {
	topics := map[string]bool{}
	for tp := range held {
		topics[tp.Topic] = true
	}
	return slices.Sorted(maps.Keys(topics))
}

func commitMoves(ctx context.Context, admin *kadm.Client, group string, moves map[topicPartition]int64) error {
	offsets := kadm.Offsets{}
	for tp, at := range moves {
		offsets.AddOffset(tp.Topic, tp.Partition, at, -1)
	}
	if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return fmt.Errorf("commit offsets of group %s: %s", group, reason(err, ""))
	}
	return nil
}

func (e *environment) showReset(group string, moves, committed map[topicPartition]int64, executed bool, output outputFormat) error {
	t, rows := newTable("GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "NEW-OFFSET"), []resetOffset{}
	for _, tp := range slices.SortedFunc(maps.Keys(moves), comparePartitions) {
		row := resetOffset{Group: group, Topic: tp.Topic, Partition: tp.Partition, NewOffset: moves[tp]}
		if at, found := committed[tp]; found {
			row.CurrentOffset = &at
		}
		rows = append(rows, row)
		t.add(row.Group, row.Topic, row.Partition, row.CurrentOffset, row.NewOffset)
	}
	if err := e.show(output, t, rows); err != nil {
		return err
	}
	if !executed {
		e.note("Nothing was changed: add --execute to do it.")
	}
	return nil
}
