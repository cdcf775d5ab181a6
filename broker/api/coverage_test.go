package api_test

import (
	"maps"
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
	asked := askedVersions(t, "testdata/transcripts/*", command)
	for _, k := range toldAPIs(t) {
		for v := max(k.MinVersion, firstServed(k.ApiKey)); v <= k.MaxVersion; v++ {
			if name := kmsg.NameForKey(k.ApiKey); !asked[apiVersion{name, v}] {
				t.Errorf("no transcript asks %s in version %d", name, v)
			}
		}
	}
}

// TestAStrangerAsksForEverything: what any client may ask for is asked by one that has
// no rights, in every version. ApiVersions alone asks nobody.
func TestAStrangerAsksForEverything(t *testing.T) {
	asked := askedVersions(t, "testdata/authorized/stranger", strangersCommand)
	maps.Copy(asked, askedVersions(t, "testdata/authorized/differs/*", strangersCommand))
	for _, k := range toldAPIs(t) {
		name := kmsg.NameForKey(k.ApiKey)
		for v := max(k.MinVersion, firstServed(k.ApiKey)); v <= k.MaxVersion; v++ {
			if !asked[apiVersion{name, v}] && kmsg.Key(k.ApiKey) != kmsg.ApiVersions {
				t.Errorf("no stranger asks %s in version %d", name, v)
			}
		}
	}
}

// firstServed is above what is told of where older versions are told of and refused.
func firstServed(key int16) int16 {
	if kmsg.Key(key) == kmsg.Produce {
		return 3
	}
	return 0
}

func toldAPIs(t *testing.T) []kmsg.ApiVersionsResponseApiKey {
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
	return keys
}

var strangersCommand = regexp.MustCompile(`(?m)^([A-Za-z]+) v=(\d+)(?:-(\d+))? on=stranger`)

var command = regexp.MustCompile(`(?m)^([A-Za-z]+) v=(\d+)(?:-(\d+))?`)

func askedVersions(t *testing.T, pattern string, command *regexp.Regexp) map[apiVersion]bool {
	files, err := filepath.Glob(pattern)
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
