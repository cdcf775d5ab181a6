package copier

import (
	"bufio"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/klamm-io/klamm/test/brokers"
)

// Flights are the lines of the data set.
func Flights(t testing.TB) (lines []string) {
	t.Helper()
	tree, err := brokers.Tree()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(tree, "test/data/flights/flights.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(plain)
	scanner.Scan() // the header
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	if err := scanner.Err(); err != nil || len(lines) != 336_776 {
		t.Fatalf("%d flights were read: %v", len(lines), err)
	}
	return lines
}
