package log

import (
	"bytes"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"
)

const formatPage = "../../docs/formats/log-files.md"

// The files drawn byte by byte in the description of the formats are files that
// Kafka wrote.
func TestFormatPageShowsFilesOfKafka(t *testing.T) {
	page, err := os.ReadFile(formatPage)
	if err != nil {
		t.Fatal(err)
	}
	drawn := strings.Split(string(page), "```hex ")[1:]
	for _, block := range drawn {
		name, rest, _ := strings.Cut(block, "\n")
		digits, _, _ := strings.Cut(rest, "```")
		got, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := kafkaFile(t, name); !bytes.Equal(got, want) {
			t.Errorf("%s is drawn as\n%x\nit is\n%x", name, got, want)
		}
	}
	if len(drawn) != 2 {
		t.Errorf("%d files are drawn, want 2", len(drawn))
	}
}

// Every name and ending that the code gives to a file is described.
func TestFormatPageNamesEveryFile(t *testing.T) {
	page, err := os.ReadFile(formatPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		lockFile, cleanShutdownFile, recoveryPointFile, logStartFile, metaPropertiesFile, partitionMetadataFile, leaderEpochFile,
		cleanShutdownContent, ".index", ".timeindex", ".txnindex", ".snapshot", ".deleted", "-delete", "-stray",
	} {
		described := slices.ContainsFunc([]string{"`" + name, name + "`", "\n## " + name}, func(s string) bool { return strings.Contains(string(page), s) })
		if !described {
			t.Errorf("%s is not described", name)
		}
	}
}
