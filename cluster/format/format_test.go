package format

import (
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

const (
	cluster = "a2xhbW0tdGVzdC0wMDAwMQ"
	first   = "JEXY6aqzQY-32P5TStzaFg"
	second  = "MvDxzVmcRsaTz33bUuRU6A"
)

// Nodes that these tests set, over which they set what they are about.
var (
	alone   = []string{"node.id=2", "log.dirs=data"}
	static  = and(alone, "process.roles=broker,controller", "listeners=PLAINTEXT://b:9092,CONTROLLER://b:9093", "controller.listener.names=CONTROLLER", "controller.quorum.voters=1@a:9093,2@b:9093")
	dynamic = and(static, "controller.quorum.voters=", "controller.quorum.bootstrap.servers=a:9093")
	broker  = and(dynamic, "process.roles=broker", "listeners=PLAINTEXT://b:9092")
)

func and(node []string, sets ...string) []string { return slices.Concat(node, sets) }

func load(t *testing.T, sets ...string) *config.Broker {
	t.Helper()
	c, _, err := config.Load("", nil, sets)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func initial(t *testing.T, list string) []metadata.Voter {
	t.Helper()
	voters, err := ParseControllers(list, "CONTROLLER")
	if err != nil {
		t.Fatal(err)
	}
	return voters
}

func TestFoldersAreTheNodes(t *testing.T) {
	fs := disk.NewMemory()
	c := load(t, and(static, "log.dirs=b,./a/", "metadata.log.dir=m")...)
	all, err := Run(fs, c, Request{ClusterID: cluster})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[protocol.TopicID]bool{}
	for i, path := range []string{"a", "b", "m"} {
		is, err := log.ReadIdentity(fs, path)
		if err != nil || is.ClusterID != cluster || is.NodeID != 2 || is.DirectoryID.IsZero() || seen[is.DirectoryID] {
			t.Errorf("%s is %+v, error %v", path, is, err)
		}
		seen[is.DirectoryID] = true
		if all[i].Path != path || all[i].Identity != is || all[i].Stayed {
			t.Errorf("it is said of %s: %+v", path, all[i])
		}
	}
	if err := Check(fs, c); err != nil {
		t.Error(err)
	}
}

func TestHowClustersBegin(t *testing.T) {
	both := "1@a:9093:" + first + ",2@b:9093:" + second
	for _, c := range []struct {
		name   string
		node   []string
		r      Request
		voters string // as Voters reads them afterwards
		folder string // its id, where it must have that one
	}{
		{name: "alone", node: alone},
		{name: "static", node: static, voters: "1@CONTROLLER://a:9093 2@CONTROLLER://b:9093"},
		{name: "one of several", node: dynamic, r: Request{InitialControllers: initial(t, both)}, folder: second,
			voters: "1@CONTROLLER://a:9093 " + first + " 2@CONTROLLER://b:9093 " + second},
		{name: "a controller that joins later, and knows with whom it began", node: dynamic, r: Request{InitialControllers: initial(t, "1@[::1]:9093:"+first)},
			voters: "1@CONTROLLER://::1:9093 " + first},
		{name: "a controller that joins later", node: dynamic, r: Request{NoInitialControllers: true}},
		{name: "a broker", node: broker},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs, node := disk.NewMemory(), load(t, c.node...)
			c.r.ClusterID = cluster
			if _, err := Run(fs, node, c.r); err != nil {
				t.Fatal(err)
			}
			voters, err := Voters(fs, node)
			if got := text(voters); err != nil || got != c.voters {
				t.Errorf("voters %q, error %v; want %q", got, err, c.voters)
			}
			is, err := log.ReadIdentity(fs, "data")
			if got := is.DirectoryID.String(); err != nil || c.folder != "" && got != c.folder {
				t.Errorf("the folder's id is %s, error %v; want %s", got, err, c.folder)
			}
		})
	}
}

func text(voters []metadata.Voter) string {
	var all []string
	for _, v := range voters {
		e := v.Endpoints[0]
		item := config.Endpoint{Listener: e.Listener, Host: e.Host, Port: e.Port}
		one := strings.Replace(item.Address(), "[::1]", "::1", 1)
		one = strconv.Itoa(int(v.ID)) + "@" + e.Listener + "://" + one
		if id := protocol.TopicID(v.DirectoryID); !id.IsZero() {
			one += " " + id.String()
		}
		all = append(all, one)
	}
	return strings.Join(all, " ")
}

func TestStandalone(t *testing.T) {
	fs, c := disk.NewMemory(), load(t, and(dynamic, "advertised.listeners=PLAINTEXT://b:9092,CONTROLLER://c:19093")...)
	all, err := Run(fs, c, Request{ClusterID: cluster, Standalone: true})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Voters(fs, c)
	want := []metadata.Voter{{ID: 2, DirectoryID: all[0].DirectoryID, Endpoints: []metadata.Endpoint{{Listener: "CONTROLLER", Host: "c", Port: 19093}}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("voters %+v, error %v; want %+v", got, err, want)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		want string
		node []string
		r    Request
	}{
		{"the cluster id \"\" is none", static, Request{}},
		{"the cluster id \"a b\" is none", static, Request{ClusterID: "a b"}},
		{"process.roles is not set", alone, Request{Standalone: true}},
		{"process.roles is not set", alone, Request{NoInitialControllers: true}},
		{"controller.quorum.voters lists the voters already", static, Request{Standalone: true}},
		{"controller.quorum.voters lists the voters already", static, Request{InitialControllers: initial(t, "2@b:9093:"+first)}},
		{"with --standalone, with --initial-controllers, or with --no-initial-controllers", dynamic, Request{}},
		{"cannot begin a cluster by itself", broker, Request{Standalone: true}},
		{"is on any free port", and(dynamic, "listeners=PLAINTEXT://b:9092,CONTROLLER://b:0"), Request{Standalone: true}},
		{"node 2 is one of the initial controllers, but no controller", broker, Request{InitialControllers: initial(t, "2@b:9093:"+first)}},
	} {
		if c.r.ClusterID == "" && !strings.Contains(c.want, "cluster id") {
			c.r.ClusterID = cluster
		}
		fs := disk.NewMemory()
		if _, err := Run(fs, load(t, c.node...), c.r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %q", c.r, err, c.want)
		}
		if names, _ := fs.ReadDir("data"); len(names) > 0 {
			t.Errorf("%s: something was written all the same: %v", c.want, names)
		}
	}
}

// formatted returns a disk with the folder data of node 2.
func formatted(t *testing.T, r Request) *disk.Memory {
	t.Helper()
	fs := disk.NewMemory()
	r.ClusterID = cluster
	if _, err := Run(fs, load(t, dynamic...), r); err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestFormattedFolders(t *testing.T) {
	one := Request{InitialControllers: initial(t, "2@b:9093:"+first)}
	for _, c := range []struct {
		want string
		node []string
		r    Request
	}{
		{"the folder data is formatted already; --ignore-formatted", dynamic, one},
		{"the folder data belongs to cluster " + cluster + ", not to other", dynamic, Request{ClusterID: "other", Standalone: true, IgnoreFormatted: true}},
		{"the folder data belongs to node 2, not to 3", and(dynamic, "node.id=3"), Request{Standalone: true, IgnoreFormatted: true}},
		{"", and(dynamic, "log.dirs=data"), Request{Standalone: true, IgnoreFormatted: true}},
		{"the initial controllers give node 2 " + second, dynamic, Request{InitialControllers: initial(t, "2@b:9093:"+second), IgnoreFormatted: true}},
	} {
		fs := formatted(t, one)
		if c.r.ClusterID == "" {
			c.r.ClusterID = cluster
		}
		if c.want != "" {
			c.node = and(c.node, "log.dirs=data,new")
		}
		if _, err := Run(fs, load(t, c.node...), c.r); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
		if _, err := fs.Stat("new"); err == nil {
			t.Errorf("%s: the other folder was made all the same", c.want)
		}
	}
}

// What is formatted stays as it is when the others are formatted.
func TestIgnoreFormatted(t *testing.T) {
	one := Request{InitialControllers: initial(t, "2@b:9093:"+first)}
	fs := formatted(t, one)
	before, err := fs.ReadFile("data/meta.properties")
	if err != nil {
		t.Fatal(err)
	}
	c := load(t, and(dynamic, "log.dirs=data,new")...)
	if err := Check(fs, c); err == nil || !strings.Contains(err.Error(), "the folder new is not formatted") {
		t.Errorf("a folder that is not formatted: error %v", err)
	}
	one.ClusterID, one.IgnoreFormatted = cluster, true
	all, err := Run(fs, c, one)
	if err != nil || len(all) != 2 || !all[0].Stayed || all[1].Stayed {
		t.Fatalf("%+v, error %v", all, err)
	}
	after, err := fs.ReadFile("data/meta.properties")
	if err != nil || string(after) != string(before) {
		t.Errorf("the folder was changed from %q to %q, error %v", before, after, err)
	}
	if err := Check(fs, c); err != nil {
		t.Error(err)
	}
}

// Whoever starts by himself needs no format command.
func TestWhoFormatsItself(t *testing.T) {
	for _, c := range []struct {
		name  string
		node  []string
		needs bool
	}{
		{"alone", alone, false},
		{"one voter", and(static, "controller.quorum.voters=2@b:9093"), false},
		{"several voters", static, true}, {"dynamic", dynamic, true}, {"broker", broker, true},
		{"a broker of one voter", and(broker, "controller.quorum.voters=1@a:9093"), true},
	} {
		if err := Check(disk.NewMemory(), load(t, c.node...)); (err != nil) != c.needs {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

// A folder whose identity is lost is not given another.
func TestFoldersWithPartitions(t *testing.T) {
	fs := disk.NewMemory()
	if err := fs.Mkdir("data/flights-0"); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(fs, load(t, static...), Request{ClusterID: cluster}); err == nil || !strings.Contains(err.Error(), "holds partitions (flights-0) but no meta.properties") {
		t.Errorf("error %v", err)
	}
}

// cutter keeps what a power cut leaves before each change of names.
type cutter struct {
	*disk.Memory
	rng  *rand.Rand
	left []*disk.Memory
}

func (c *cutter) cut() { c.left = append(c.left, c.Crash(c.rng)) }

func (c *cutter) Mkdir(name string) error      { c.cut(); return c.Memory.Mkdir(name) }
func (c *cutter) Rename(from, to string) error { c.cut(); return c.Memory.Rename(from, to) }
func (c *cutter) SyncDir(name string) error    { c.cut(); return c.Memory.SyncDir(name) }
func (c *cutter) OpenFile(name string) (disk.File, error) {
	c.cut()
	return c.Memory.OpenFile(name)
}

// A power cut at any time leaves a folder that is formatted and has its voters, or
// that is not formatted; format then goes on.
func TestPowerCuts(t *testing.T) {
	c, r := load(t, dynamic...), Request{ClusterID: cluster, InitialControllers: initial(t, "2@b:9093:"+first), IgnoreFormatted: true}
	for seed := range uint64(50) {
		fs := &cutter{Memory: disk.NewMemory(), rng: rand.New(rand.NewPCG(seed, 0))}
		if _, err := Run(fs, c, r); err != nil {
			t.Fatal(err)
		}
		if fs.cut(); len(fs.left) < 6 {
			t.Fatalf("%d power cuts", len(fs.left))
		}
		for i, left := range fs.left {
			is, err := log.ReadIdentity(left, "data")
			voters, votersErr := Voters(left, c)
			whole := is.Formatted() && is.DirectoryID.String() == first && len(voters) == 1
			if err != nil || votersErr != nil || is.Formatted() && !whole || i == len(fs.left)-1 && !whole {
				t.Fatalf("seed %d, cut %d: %+v, voters %v, errors %v, %v", seed, i, is, voters, err, votersErr)
			}
			if _, err := Run(left, c, r); err != nil {
				t.Fatalf("seed %d, cut %d: format again: %v", seed, i, err)
			}
		}
	}
}

func TestVotersFile(t *testing.T) {
	const good = "0\n1\n2 JEXY6aqzQY-32P5TStzaFg CONTROLLER://b:9093\n"
	for content, want := range map[string]string{
		good: "",
		"1\n1\n2 JEXY6aqzQY-32P5TStzaFg CONTROLLER://b:9093\n": "line 1: want the version 0",
		"":       "line 1",
		"0\n":    "line 2",
		"0\n0\n": "line 2",
		"0\n2\n2 JEXY6aqzQY-32P5TStzaFg CONTROLLER://b:9093\n":                                                  "line 2: want how many voters follow, which is 1",
		"0\n1\n2 CONTROLLER://b:9093\n":                                                                         "line 3: want a node",
		"0\n1\n2 short CONTROLLER://b:9093\n":                                                                   "line 3: \"short\" is no directory id",
		"0\n1\n2 JEXY6aqzQY-32P5TStzaFg CONTROLLER://b\n":                                                       "line 3",
		"0\n2\n2 JEXY6aqzQY-32P5TStzaFg CONTROLLER://b:9093\n2 MvDxzVmcRsaTz33bUuRU6A CONTROLLER://b:9093\n":    "twice",
		"0\n1\n2 JEXY6aqzQY-32P5TStzaFg CONTROLLER://b:9093 1 JEXY6aqzQY-32P5TStzaFg CONTROLLER://b:9093\n0\n1": "line 2",
	} {
		fs := disk.NewMemory()
		if err := fs.Mkdir("data"); err != nil {
			t.Fatal(err)
		}
		if err := disk.WriteFileAtomic(fs, "data/bootstrap.voters", []byte(content)); err != nil {
			t.Fatal(err)
		}
		voters, err := Voters(fs, load(t, dynamic...))
		if want == "" && (err != nil || text(voters) != "2@CONTROLLER://b:9093 "+first) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: voters %v, error %v; want %q", content, voters, err, want)
		}
	}
}

func TestWrongControllers(t *testing.T) {
	for list, want := range map[string]string{
		"":                                    "want ID@host:port:directory",
		"1@a":                                 "want ID@host:port:directory",
		"1@a:9093":                            "want ID@host:port:directory",
		"1@0.0.0.0:9093:" + first:             "want ID@host:port:directory",
		"1@a:9093:x":                          "the directory id should be what klamm uuid prints",
		"1@a:1:AAAAAAAAAAAAAAAAAAAAAA":        "the directory id should be what klamm uuid prints",
		"1@a:1:" + first + ",1@b:1:" + second: "node 1 or the directory id " + second + " twice",
		"1@a:1:" + first + ",2@b:1:" + first:  "node 2 or the directory id " + first + " twice",
		"1@a:1:" + first + ",":                "want ID@host:port:directory",
	} {
		if _, err := ParseControllers(list, "C"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", list, err, want)
		}
	}
}

// The page shows the file as it is written.
func TestFormatPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/formats/log-files.md")
	if err != nil {
		t.Fatal(err)
	}
	fs := disk.NewMemory()
	if err := fs.Mkdir("d"); err != nil {
		t.Fatal(err)
	}
	voters := initial(t, "1@10.0.0.1:9093:"+first+",2@10.0.0.2:9093:"+second+",3@10.0.0.3:9093:07R5amHmR32VDA6jHkGbTA")
	if err := firstVoters.write(fs, "d", voters); err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile("d/bootstrap.voters")
	if err != nil || !strings.Contains(string(page), "```\n"+string(text)+"```") {
		t.Errorf("error %v, the page does not show this:\n%s", err, text)
	}
}
