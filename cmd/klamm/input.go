package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// standardInput is the name that stands for it.
const standardInput = "-"

// input is where records come from: a file, decompressed where its name says
// that it is compressed, or standard input.
type input struct {
	io.Reader
	name   string // for messages
	format string // lines, csv or json: what the name tells
	close  func()
}

// openInput opens the file, or stdin where the name is "-".
func openInput(name string, stdin *os.File) (*input, error) {
	if name == standardInput {
		return &input{Reader: stdin, name: "standard input", format: "lines", close: func() {}}, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w. Name a file with records, or - for standard input", err)
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		file.Close()
		return nil, fmt.Errorf("%s is a folder. Name a file with records, or - for standard input", name)
	}
	plain, stop, err := decompressed(name, file)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("decompress %s: %w", name, err)
	}
	return &input{Reader: plain, name: name, format: formatOf(name), close: func() { stop(); file.Close() }}, nil
}

// decompressed reads a file as its ending says; stop frees what that takes.
func decompressed(name string, file io.Reader) (plain io.Reader, stop func(), err error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".gz":
		unzip, err := gzip.NewReader(file)
		return unzip, func() {}, err
	case ".zst":
		unzip, err := zstd.NewReader(file)
		if err != nil {
			return nil, nil, err
		}
		return unzip, unzip.Close, nil
	}
	return file, func() {}, nil
}

// formatOf tells the format of a file by its name: flights.csv.gz is CSV.
func formatOf(name string) string {
	name = strings.ToLower(name)
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
	switch filepath.Ext(name) {
	case ".csv":
		return "csv"
	case ".json", ".jsonl", ".ndjson":
		return "json"
	}
	return "lines"
}
