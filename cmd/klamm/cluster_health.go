package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/cluster/health"
	"github.com/klamm-io/klamm/internal/quantity"
)

const (
	watchInterval = 2 * time.Second // between two looks
	mostNames     = 8               // that a problem shows of where it is
	screenWidth   = 100             // in characters, at which text is wrapped
)

func newClusterHealthCommand(env *environment) *cobra.Command {
	var watch, exitCode bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Say what is wrong with a cluster, and what to do",
		Long: `Say what is wrong with a cluster, where, and what to do: brokers that are fenced or
missing, the controller quorum, partitions without leader or short of replicas in
sync, replicas that lag, folders that failed, disks that fill, moves under way.
What the cluster does not tell is said to be unknown.

A bad problem is something that does not work now; with a warning less is left to
lose; the rest passes by itself.`,
		Example: `  klamm cluster health
  klamm cluster health --watch
  klamm cluster health --exit-code -o json`,
		Args: arguments(0, 0),
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "look again every two seconds, until interrupted")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 1 where something is bad or a warning")
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := env.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer client.Close()
		screen := &healthScreen{env: env, format: *output}
		if watch {
			err = screen.watch(cmd.Context(), client)
		} else {
			err = screen.once(cmd.Context(), client)
		}
		if err == nil && exitCode && !screen.report.Healthy {
			return errors.New("the cluster is not healthy: " + tally(screen.report.Problems))
		}
		return err
	}
	return cmd
}

// look asks a cluster all that its health is judged by.
func look(ctx context.Context, client *kgo.Client) (health.Report, error) {
	f, err := gather(ctx, client, askMoves, askMinISR, askLogDirs, askQuorum, askEligible)
	if err != nil {
		return health.Report{}, err
	}
	return health.Judge(f), nil
}

// healthScreen shows reports.
type healthScreen struct {
	env    *environment
	format outputFormat
	report health.Report // the last
	shown  string        // the last, as it was shown
}

func (s *healthScreen) once(ctx context.Context, client *kgo.Client) (err error) {
	if s.report, err = look(ctx, client); err != nil {
		return err
	}
	text, err := s.text()
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.env.out, text)
	return err
}

// watch shows a report again and again: on a terminal in place, elsewhere where it
// changed. Being interrupted is the usual way to stop, and no failure.
func (s *healthScreen) watch(ctx context.Context, client *kgo.Client) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		report, err := look(ctx, client)
		var text string
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			text = fmt.Sprintf("%v; trying again\n", err)
			s.report.Healthy = false
		default:
			s.report = report
			if text, err = s.text(); err != nil {
				return err
			}
		}
		if err := s.refresh(text); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// clearScreen moves to the top of a terminal and clears what is below.
const clearScreen = "\x1b[H\x1b[J"

func (s *healthScreen) refresh(text string) error {
	now := time.Now().Format(time.DateTime) + "\n"
	out, isFile := s.env.out.(*os.File)
	switch {
	case s.format == "table" && isFile && isTerminal(out):
		text = clearScreen + now + text
	case text == s.shown:
		return nil
	default:
		s.shown = text
		if s.format == "table" {
			text = now + text
		}
	}
	_, err := io.WriteString(s.env.out, text)
	return err
}

func (s *healthScreen) text() (string, error) {
	var text strings.Builder
	var err error
	switch s.format {
	case "json":
		err = writeJSON(&text, s.report)
	case "yaml":
		err = writeYAML(&text, s.report)
	default:
		writeReport(&text, s.report)
	}
	return text.String(), err
}

// writeReport writes a report for people.
func writeReport(out io.Writer, r health.Report) {
	if r.Healthy {
		fmt.Fprintf(out, "healthy: %s\n", counts(r.Counts))
	} else {
		fmt.Fprintf(out, "not healthy: %s; %s\n", tally(r.Problems), counts(r.Counts))
	}
	for _, p := range r.Problems {
		fmt.Fprintln(out)
		writeWrapped(out, fmt.Sprintf("%-9s", p.Severity), p.What)
		if len(p.Where) > 0 {
			writeWrapped(out, "", fewNames(p.Where))
		}
		writeWrapped(out, "       → ", p.Do)
	}
	if len(r.Unknown) > 0 {
		fmt.Fprintln(out)
	}
	for _, u := range r.Unknown {
		writeWrapped(out, "unknown  ", u.What+": "+u.Why)
	}
}

// counts says how much there is of everything, but for what there is nothing of.
func counts(c health.Counts) string {
	words := []string{
		quantity.Counted(int64(c.Brokers), "broker", "brokers"), quantity.Counted(int64(c.Topics), "topic", "topics"),
		quantity.Counted(int64(c.Partitions), "partition", "partitions"), quantity.Counted(int64(c.Replicas), "replica", "replicas"),
	}
	if c.Voters > 0 {
		words = append(words, quantity.Counted(int64(c.Voters), "voter", "voters"))
	}
	return strings.Join(words, ", ")
}

// tally counts problems by how bad they are.
func tally(problems []health.Problem) string {
	of := map[health.Severity]int64{}
	for _, p := range problems {
		of[p.Severity]++
	}
	var words []string
	if n := of[health.Bad]; n > 0 {
		words = append(words, quantity.Digits(n)+" bad")
	}
	if n := of[health.Warning]; n > 0 {
		words = append(words, quantity.Counted(n, "warning", "warnings"))
	}
	return strings.Join(words, ", ")
}

// fewNames lists names, and says how many it leaves out.
func fewNames(names []string) string {
	if len(names) <= mostNames {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %s more", strings.Join(names[:mostNames], ", "), quantity.Digits(int64(len(names)-mostNames)))
}

// indent is where text begins beside the severity.
const indent = "         "

// writeWrapped writes text in lines of screenWidth, the first after a label as wide
// as the indent.
func writeWrapped(out io.Writer, label, text string) {
	line := label
	if label == "" {
		line = indent
	}
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > screenWidth {
			fmt.Fprintln(out, line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	fmt.Fprintln(out, line)
}
