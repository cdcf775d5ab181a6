package api_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/test/wire"
)

// apiVersion is one version of an API, by the name that kmsg has for it.
type apiVersion struct {
	name    string
	version int16
}

// TestEveryVersionHasATranscript: what ApiVersions tells of is asked in at least
// one transcript, in every version.
func TestEveryVersionHasATranscript(t *testing.T) {
	asked := askedVersions(t)
	conn, err := wire.Dial(start(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	resp, err := conn.RoundTrip(kmsg.NewPtrApiVersionsRequest())
	if err != nil {
		t.Fatal(err)
	}
	keys := resp.(*kmsg.ApiVersionsResponse).ApiKeys
	if len(keys) < 30 {
		t.Fatalf("%d APIs are told of", len(keys))
	}
	for _, k := range keys {
		first := k.MinVersion
		if kmsg.Key(k.ApiKey) == kmsg.Produce {
			first = 3 // those before are told of, and refused
		}
		for v := first; v <= k.MaxVersion; v++ {
			if name := kmsg.NameForKey(k.ApiKey); !asked[apiVersion{name, v}] {
				t.Errorf("no transcript asks %s in version %d", name, v)
			}
		}
	}
}

var command = regexp.MustCompile(`(?m)^([A-Za-z]+) v=(\d+)(?:-(\d+))?`)

func askedVersions(t *testing.T) map[apiVersion]bool {
	files, err := filepath.Glob("testdata/transcripts/*")
	if err != nil {
		t.Fatal(err)
	}
	asked := map[apiVersion]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the folder of those that differ
		}
		for _, m := range command.FindAllStringSubmatch(string(text), -1) {
			first, _ := strconv.Atoi(m[2])
			last := first
			if m[3] != "" {
				last, _ = strconv.Atoi(m[3])
			}
			for v := first; v <= last; v++ {
				asked[apiVersion{m[1], int16(v)}] = true
			}
		}
	}
	return asked
}
