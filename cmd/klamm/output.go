package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// The forms in which every listing can be had.
var outputFormats = []string{"table", "json", "yaml"}

// outputFormat is the value of --output; the zero value is a table.
type outputFormat string

func (f *outputFormat) String() string { return string(*f) }

func (f *outputFormat) Type() string { return "FORMAT" }

func (f *outputFormat) Set(s string) error {
	if !slices.Contains(outputFormats, s) {
		return fmt.Errorf("it is one of %s", strings.Join(outputFormats, ", "))
	}
	*f = outputFormat(s)
	return nil
}

// addOutputFlag adds --output to a listing.
func addOutputFlag(cmd *cobra.Command) *outputFormat {
	format := outputFormat("table")
	cmd.Flags().VarP(&format, "output", "o", "print as table, json or yaml")
	must(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputFormats, cobra.ShellCompDirectiveNoFileComp)))
	return &format
}

// must is for mistakes in the program's own text, which the first run shows.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// table is a listing for people: one line a row, columns aligned.
type table struct {
	header []string
	rows   [][]string
}

func newTable(header ...string) *table { return &table{header: header} }

// add appends a row; nil pointers and empty strings show as "-", as Kafka's
// tools show them.
func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = cellText(cell)
	}
	t.rows = append(t.rows, row)
}

func cellText(cell any) string {
	switch c := cell.(type) {
	case *int64:
		if c != nil {
			return strconv.FormatInt(*c, 10)
		}
	case string:
		if c != "" {
			return c
		}
	case []int32:
		if len(c) > 0 {
			return joinInts(c)
		}
	default:
		return fmt.Sprint(c)
	}
	return "-"
}

func joinInts(ints []int32) string {
	texts := make([]string, len(ints))
	for i, n := range ints {
		texts[i] = strconv.Itoa(int(n))
	}
	return strings.Join(texts, ",")
}

func (t *table) write(w io.Writer) error {
	aligned := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if t.header != nil {
		fmt.Fprintln(aligned, strings.Join(t.header, "\t"))
	}
	for _, row := range t.rows {
		fmt.Fprintln(aligned, strings.Join(row, "\t"))
	}
	return aligned.Flush()
}

// show prints a listing as the table, or v for programs. The tags of v's JSON
// name the fields in YAML as well.
func (e *environment) show(format outputFormat, t *table, v any) error {
	switch format {
	case "json":
		return writeJSON(e.out, v)
	case "yaml":
		return writeYAML(e.out, v)
	}
	return t.write(e.out)
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// writeYAML goes by way of JSON, which is YAML: so both have the same names in
// the same order.
func writeYAML(w io.Writer, v any) error {
	var text bytes.Buffer
	if err := writeJSON(&text, v); err != nil {
		return err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text.Bytes(), &document); err != nil {
		return err
	}
	plainStyle(&document)
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(&document); err != nil {
		return err
	}
	return encoder.Close()
}

// plainStyle forgets JSON's braces and quotes; the encoder puts quotes back
// where a string would be read as something else. Empty lists keep their
// brackets, for block style has no empty list.
func plainStyle(node *yaml.Node) {
	if node.Kind == yaml.ScalarNode || len(node.Content) > 0 {
		node.Style = 0
	}
	for _, child := range node.Content {
		plainStyle(child)
	}
}
