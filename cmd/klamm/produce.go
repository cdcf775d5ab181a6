package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// How much may be on its way at once: enough to keep a broker busy while more
// is read, and little memory.
const (
	maxBufferedRecords = 100_000
	maxBufferedBytes   = 64 << 20
)

var inputFormats = []string{"lines", "csv", "json"}

// produceOptions is what `klamm produce` is asked for.
type produceOptions struct {
	format         string
	key            string
	keySeparator   string
	keyField       string
	timestampField string
	headers        []string
	emptyAsNull    bool
	compression    string
	acks           string
	partition      int32 // -1: by key
	progress       bool

	keySet bool // --key was given, maybe empty
}

func newProduceCommand(env *environment) *cobra.Command {
	o := &produceOptions{}
	cmd := &cobra.Command{
		Use:   "produce TOPIC [FILE]",
		Short: "Send records to a topic, from a file or standard input",
		Long: `Send records to a topic, from a file or, where none is named or it is "-", from
standard input.

Each line is a record's value. With CSV each row is one, as a JSON object whose
names are those of the first row; with JSON each line is one object. The format
is told by the file's name where --format does not; .gz and .zst files are
decompressed.

With --timestamp-field, records older than the topic's retention.ms (a week by
default) are deleted soon: --set retention.ms=-1 on the topic keeps them.`,
		Example: `  klamm produce flights flights.csv.gz --key-field tailnum
  echo 'N14228:landed' | klamm produce events -K :
  klamm produce planes planes.jsonl --key-field tailnum --compression zstd`,
		Args:              arguments(1, 2),
		ValidArgsFunction: env.completeTopics(1),
	}
	o.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.keySet = cmd.Flags().Changed("key")
		name := standardInput
		if len(args) == 2 {
			name = args[1]
		}
		return env.produce(cmd, args[0], name, o)
	}
	return cmd
}

func (o *produceOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&o.format, "format", "f", "", "what the input is: lines, csv or json (default: by the file's name, else lines)")
	flags.StringVarP(&o.key, "key", "k", "", "key of every record")
	flags.StringVarP(&o.keySeparator, "key-separator", "K", "", "what stands between key and value in a line")
	flags.StringVar(&o.keyField, "key-field", "", "column (CSV) or field (JSON) that is the key")
	flags.StringVar(&o.timestampField, "timestamp-field", "", "column or field that is the timestamp: RFC 3339 or Unix milliseconds")
	flags.StringArrayVarP(&o.headers, "header", "H", nil, "header of every record, `NAME=VALUE`; may be repeated")
	flags.BoolVarP(&o.emptyAsNull, "empty-as-null", "Z", false, "an empty value is null: deletes the key in a compacted topic")
	flags.StringVarP(&o.compression, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	flags.StringVar(&o.acks, "acks", "all", "who must have a record before it counts: 0, 1 or all")
	flags.Int32VarP(&o.partition, "partition", "p", -1, "send to this partition; -1 is by key")
	flags.BoolVar(&o.progress, "progress", false, "show progress even where standard error is no terminal")
	for name, values := range map[string][]string{
		"format": inputFormats, "compression": compressionNames, "acks": {"0", "1", "all"},
	} {
		must(cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
	}
}

// produce checks all that can be checked before it sends the first record.
func (e *environment) produce(cmd *cobra.Command, topic, file string, o *produceOptions) error {
	opts, err := o.clientOptions(cmd)
	if err != nil {
		return err
	}
	headers, err := o.parseHeaders(cmd)
	if err != nil {
		return err
	}
	in, err := openInput(file, e.in)
	if err != nil {
		return err
	}
	defer in.close()
	if o.format == "" {
		o.format = in.format
	}
	if err := o.checkKeys(cmd); err != nil {
		return err
	}
	client, err := e.connect(cmd.Context(), opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := checkPartition(cmd.Context(), client, topic, o.partition); err != nil {
		return err
	}
	records, err := o.source(in)
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	p := &production{env: e, client: client, topic: topic, input: in.name, records: records, headers: headers, options: o}
	return p.run(cmd.Context())
}

// compressionNames are Kafka's codecs.
var compressionNames = []string{"none", "gzip", "snappy", "lz4", "zstd"}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// clientOptions turns the options into the client's.
func (o *produceOptions) clientOptions(cmd *cobra.Command) ([]kgo.Opt, error) {
	codec, known := codecs[o.compression]
	if !known {
		return nil, badUsage(cmd, "--compression %s: it is one of %s", o.compression, strings.Join(compressionNames, ", "))
	}
	opts := []kgo.Opt{
		kgo.ProducerBatchCompression(codec),
		kgo.MaxBufferedRecords(maxBufferedRecords),
		kgo.MaxBufferedBytes(maxBufferedBytes),
	}
	switch o.acks {
	case "all", "-1":
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, badUsage(cmd, "--acks %s: it is 0, 1 or all", o.acks)
	}
	if o.partition < -1 {
		return nil, badUsage(cmd, "--partition %d: partitions begin at 0", o.partition)
	}
	if o.partition >= 0 {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	return opts, nil
}

func (o *produceOptions) parseHeaders(cmd *cobra.Command) ([]kgo.RecordHeader, error) {
	var headers []kgo.RecordHeader
	for _, pair := range o.headers {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			return nil, badUsage(cmd, "--header %s: it is written NAME=VALUE", pair)
		}
		headers = append(headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return headers, nil
}

// checkKeys refuses what does not fit the format, rather than leaving it out.
func (o *produceOptions) checkKeys(cmd *cobra.Command) error {
	if !slices.Contains(inputFormats, o.format) {
		return badUsage(cmd, "--format %s: it is one of %s", o.format, strings.Join(inputFormats, ", "))
	}
	if o.format == "lines" && o.keyField+o.timestampField != "" {
		return badUsage(cmd, "lines have no fields: pass --format csv or json with --key-field and --timestamp-field, or -K for keys in lines")
	}
	if o.format != "lines" && o.keySeparator != "" {
		return badUsage(cmd, "--key-separator is for lines: pass --key-field for %s, or --format lines", o.format)
	}
	if o.keySet && o.keyField+o.keySeparator != "" {
		return badUsage(cmd, "--key is the key of every record: it does not go with --key-field or --key-separator")
	}
	return nil
}

// source reads the input in its format.
func (o *produceOptions) source(r io.Reader) (source, error) {
	switch o.format {
	case "csv":
		return newCSVSource(r, o.keyField, o.timestampField)
	case "json":
		return &jsonSource{lines: newLineReader(r), keyField: o.keyField, timestampField: o.timestampField}, nil
	}
	separator, err := unescape(o.keySeparator)
	return &lineSource{lines: newLineReader(r), separator: separator}, err
}
