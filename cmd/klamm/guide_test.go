package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var rewrite = flag.Bool("rewrite", false, "write the reference of docs/guide/cli.md")

const guide = "../../docs/guide/cli.md"

// The guide's reference lies between two marks; the text before it is written
// by hand.
func TestGuideHasEveryCommandAndFlag(t *testing.T) {
	raw, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- begin reference -->\n", "<!-- end reference -->"
	before, rest, found := strings.Cut(string(raw), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no marks for the reference", guide)
	}
	root := newRootCommand(&environment{brokers: []string{defaultBrokers}, out: os.Stdout, errOut: os.Stderr})
	text := before + begin + reference(root) + "\n" + end + after
	if text == string(raw) {
		return
	}
	if !*rewrite {
		t.Fatalf("%s is not what the commands are; go test ./cmd/klamm -run Guide -rewrite writes it", guide)
	}
	if err := os.WriteFile(guide, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// reference describes the commands that do something, in the order of the help.
func reference(cmd *cobra.Command) string {
	if !cmd.HasSubCommands() {
		return section(cmd)
	}
	var out strings.Builder
	for _, child := range cmd.Commands() {
		out.WriteString(reference(child))
	}
	return out.String()
}

func section(cmd *cobra.Command) string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n### %s\n\n", cmd.CommandPath())
	fmt.Fprintf(&out, "```\n%s\n```\n\n%s\n", strings.TrimSuffix(cmd.UseLine(), " [flags]"), description(cmd))
	if cmd.Example != "" {
		fmt.Fprintf(&out, "\n```sh\n%s\n```\n", outdented(cmd.Example))
	}
	out.WriteString(flagTable(cmd.LocalFlags()))
	return out.String()
}

// description is the long text, of which indented lines are a picture, or the
// short one as a sentence.
func description(cmd *cobra.Command) string {
	if cmd.Long == "" {
		return cmd.Short + "."
	}
	paragraphs := strings.Split(cmd.Long, "\n\n")
	for i, p := range paragraphs {
		intro, picture, found := strings.Cut(p, "\n  ")
		if found {
			paragraphs[i] = intro + "\n\n```\n" + outdented("  "+picture) + "\n```"
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

func outdented(text string) string {
	return strings.TrimPrefix(strings.ReplaceAll(text, "\n  ", "\n"), "  ")
}

func flagTable(flags *pflag.FlagSet) string {
	var out strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Hidden {
			return
		}
		if out.Len() == 0 {
			out.WriteString("\n| flag | default | what it does |\n|---|---|---|\n")
		}
		value, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(&out, "| %s | %s | %s |\n", flagName(f, value), flagDefault(f), strings.ReplaceAll(usage, "|", `\|`))
	})
	return out.String()
}

func flagName(f *pflag.Flag, value string) string {
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if value != "" {
		name += " " + value
	}
	return "`" + name + "`"
}

func flagDefault(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "[]", "false":
		return ""
	}
	return "`" + f.DefValue + "`"
}
