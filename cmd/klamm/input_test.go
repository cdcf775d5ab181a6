package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compressedFile writes text as the name's ending says.
func compressedFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var w io.WriteCloser = file
	switch filepath.Ext(name) {
	case ".gz":
		w = gzip.NewWriter(file)
	case ".zst":
		if w, err = zstd.NewWriter(file); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenInputDecompresses(t *testing.T) {
	for name, format := range map[string]string{"a.csv": "csv", "a.csv.gz": "csv", "a.txt.zst": "lines"} {
		in, err := openInput(compressedFile(t, name, "some text\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		in.close()
		if err != nil || string(text) != "some text\n" || in.format != format {
			t.Errorf("%s: %q as %s, error %v", name, text, in.format, err)
		}
	}
}

func TestOpenInputSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	fake := filepath.Join(dir, "fake.gz")
	if err := os.WriteFile(fake, []byte("not compressed"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		filepath.Join(dir, "none.csv"): "no such file",
		fake:                           "decompress " + fake,
	} {
		if _, err := openInput(path, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want %q", path, err, says)
		}
	}
}
