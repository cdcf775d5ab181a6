package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// kcat is a program itself; here it is put behind the command line that all
// clients share. It sends one partition at a time, without headers and with
// its own clock. Its options split records at bytes that must not be in them.
const (
	kcatKeyEnd    = "\x1e"
	kcatRecordEnd = "\x1f"
)

// kcatFormat has all that may hold any byte last, with its length before it.
const kcatFormat = `%p %o %T %K %S %h\n%k%s\n`

func kcatProduce(ctx context.Context, j job) error {
	records, err := readRecords()
	if err != nil {
		return err
	}
	byPartition := map[int32][]int{}
	for i, r := range records {
		byPartition[r.Partition] = append(byPartition[r.Partition], i)
	}
	for _, partition := range slices.Sorted(maps.Keys(byPartition)) {
		if err := kcatProducePartition(ctx, j, partition, records, byPartition[partition]); err != nil {
			return err
		}
	}
	return nil
}

func kcatProducePartition(ctx context.Context, j job, partition int32, records []record, indexes []int) error {
	var input bytes.Buffer
	for _, i := range indexes {
		input.Write(records[i].Key)
		input.WriteString(kcatKeyEnd)
		input.Write(records[i].Value)
		input.WriteString(kcatRecordEnd)
	}
	cmd := exec.CommandContext(ctx, "kcat", "-P", "-b", j.bootstrap, "-t", j.topic, "-p", strconv.Itoa(int(partition)),
		"-K", kcatKeyEnd, "-D", kcatRecordEnd, "-z", j.text("codec"), "-Z", "-vvv", "-X", "acks=all",
		"-X", "enable.idempotence="+strconv.FormatBool(j.text("idempotent") == "true"))
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = &input, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("kcat: %w: %s", err, said.String())
	}
	delivered := regexp.MustCompile(`Message delivered to partition \d+ \(offset (\d+)\)`).FindAllStringSubmatch(said.String(), -1)
	if len(delivered) != len(indexes) {
		return fmt.Errorf("kcat delivered %d records of %d: %s", len(delivered), len(indexes), said.String())
	}
	for n, i := range indexes {
		offset, err := strconv.ParseInt(delivered[n][1], 10, 64)
		if err != nil {
			return err
		}
		emit(event{Event: "acked", Index: i, Offset: offset, record: record{Partition: partition}})
	}
	return nil
}

func kcatConsume(ctx context.Context, j job) error {
	start := "beginning"
	if j.text("from") == "time" {
		start = "s@" + j.text("time")
		if err := kcatOffsets(ctx, j); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "kcat", "-C", "-b", j.bootstrap, "-t", j.topic, "-o", start, "-c", j.text("count"), "-q", "-u", "-f", kcatFormat)
	cmd.Stderr = os.Stderr
	return kcatRead(cmd)
}

// kcatOffsets prints the offset that the time stands for in each partition.
func kcatOffsets(ctx context.Context, j job) error {
	listed, err := exec.CommandContext(ctx, "kcat", "-L", "-b", j.bootstrap, "-t", j.topic).Output()
	if err != nil {
		return fmt.Errorf("kcat -L: %w", err)
	}
	for p := range bytes.Count(listed, []byte("    partition ")) {
		asked := fmt.Sprintf("%s:%d:%s", j.topic, p, j.text("time"))
		out, err := exec.CommandContext(ctx, "kcat", "-Q", "-b", j.bootstrap, "-t", asked).Output()
		if err != nil {
			return fmt.Errorf("kcat -Q: %w", err)
		}
		offset, err := strconv.ParseInt(string(bytes.TrimSpace(out[bytes.LastIndexByte(out, ' ')+1:])), 10, 64)
		if err != nil {
			return fmt.Errorf("kcat -Q: %w", err)
		}
		emit(event{Event: "start", Offset: offset, record: record{Partition: int32(p)}})
	}
	return nil
}

// kcatRead prints the records that cmd writes in kcatFormat, until it ends.
func kcatRead(cmd *exec.Cmd) error {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("kcat: %w", err)
	}
	in := bufio.NewReader(out)
	for err == nil {
		err = kcatRecord(in)
	}
	if !errors.Is(err, io.EOF) {
		return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return cmd.Wait()
}

func kcatRecord(in *bufio.Reader) error {
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	e := event{Event: "record"}
	var keySize, valueSize int
	if _, err := fmt.Sscan(line, &e.Partition, &e.Offset, &e.Timestamp, &keySize, &valueSize); err != nil {
		return fmt.Errorf("kcat wrote %q: %w", line, err)
	}
	e.Headers = kcatHeaders(strings.TrimSuffix(strings.SplitN(line, " ", 6)[5], "\n"))
	if e.Key, err = kcatBytes(in, keySize); err != nil {
		return err
	}
	if e.Value, err = kcatBytes(in, valueSize); err != nil {
		return err
	}
	emit(e)
	_, err = in.ReadByte() // the end of the line
	return err
}

// kcatBytes reads n bytes; -1 stands for null.
func kcatBytes(in *bufio.Reader, n int) ([]byte, error) {
	if n < 0 {
		return nil, nil
	}
	b := make([]byte, n)
	_, err := io.ReadFull(in, b)
	return b, err
}

func kcatHeaders(text string) []header {
	var headers []header
	for _, pair := range strings.Split(text, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			headers = append(headers, header{key, []byte(value)})
		}
	}
	return headers
}

var kcatRebalanced = regexp.MustCompile(`rebalanced.*?: (?:incremental )?(assign|revoke)[^:]*: (.*)`)

func kcatGroup(ctx context.Context, j job) error {
	args := []string{
		"-b", j.bootstrap, "-u", "-f", kcatFormat, "-X", "auto.offset.reset=earliest", "-X", "heartbeat.interval.ms=500",
		"-X", "auto.commit.interval.ms=200", "-X", "partition.assignment.strategy=" + kcatStrategy(j),
	}
	if j.text("count") != "" {
		args = append(args, "-c", j.text("count"))
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(ctx, "kcat", append(args, "-G", j.text("group"), j.topic)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	said, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	heard := make(chan struct{})
	go func() { defer close(heard); kcatRebalances(said) }()
	go func() {
		untilInputEnds()
		if j.text("count") == "" {
			stop()
		}
	}()
	err = kcatRead(cmd)
	if ctx.Err() != nil {
		err = nil // it was told to leave
	}
	<-heard
	emit(event{Event: "left"})
	return err
}

func kcatStrategy(j job) string {
	if j.text("strategy") == "cooperative" {
		return "cooperative-sticky"
	}
	return "range"
}

// kcatRebalances prints what kcat says of its assignment, until it ends.
func kcatRebalances(said io.Reader) {
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		found := kcatRebalanced.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		e := event{Event: map[string]string{"assign": "assigned", "revoke": "revoked"}[found[1]]}
		for _, number := range regexp.MustCompile(`\[(\d+)\]`).FindAllStringSubmatch(found[2], -1) {
			p, _ := strconv.Atoi(number[1])
			e.Partitions = append(e.Partitions, int32(p))
		}
		emit(e)
	}
}
