//go:build cluster

package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/history"
)

// The releases of Klamm here are this tree and one after it: that can be at the level 2
// of klamm.version, too, and has a record of the metadata which this tree does not
// know. It writes it, as no release should, whatever the level is: whenever the level
// of group.version changes.
const (
	klammVersion = "klamm.version"
	before, next = 1, 2
)

var nextRelease = []brokers.Change{
	{
		File: "cluster/controller/features.go",
		Old:  "{Name: KlammVersion, Min: 1, Max: 1},",
		New:  "{Name: KlammVersion, Min: 1, Max: 2},",
	}, {
		File: "cluster/controller/features.go",
		Old:  "\tif req.ValidateOnly {\n",
		New:  "\tif len(records) > 0 && req.FeatureUpdates[0].Feature == GroupVersion {\n\t\trecords = append(records, new(metadata.Milestone))\n\t}\n\tif req.ValidateOnly {\n",
	}, {
		File: "cluster/metadata/record.go",
		Old:  "\t\treturn new(AccessControlRemoved)\n",
		New:  "\t\treturn new(AccessControlRemoved)\n\tcase typeMilestone:\n\t\treturn new(Milestone)\n",
	}, {
		File: "cluster/metadata/milestone.go",
		New: "package metadata\n\nconst typeMilestone recordType = 99\n\ntype Milestone struct{}\n\n" +
			"func (*Milestone) kind() recordType { return typeMilestone }\nfunc (*Milestone) encode(*encoder) {}\n" +
			"func (*Milestone) decode(*decoder) {}\nfunc (*Milestone) apply(*change) error { return nil }\n",
	},
}

// releases builds this tree and the release after it.
func releases(t *testing.T) (this, after string) {
	t.Helper()
	if apache {
		t.Skip("the releases are Klamm's")
	}
	this, err := brokers.BuildKlamm()
	must(t, err)
	after, err = brokers.BuildOther("klamm-next", nextRelease...)
	must(t, err)
	return this, after
}

// TestUpgrade replaces the nodes of a cluster one by one by those of the next release,
// one of them back and forth, while clients are at work. The cluster stays at its level
// until the last one is replaced and somebody raises it; then the former release is not
// let in again.
func TestUpgrade(t *testing.T) {
	this, after := releases(t)
	c := startCluster(t, nil)
	tr := startTraffic(t, c, createTopic(t, c, "busy", 3, nil))
	last := c.Nodes[2]
	for _, n := range c.Nodes[:2] {
		for _, binary := range []string{after, this, after} {
			restartAs(t, c, n, binary)
			tr.awaitProgress()
			wantLevel(t, c, before)
		}
	}
	makeController(t, c, c.Nodes[0])
	wantRefusal(t, c, fmt.Sprintf("Broker %d only supports versions 1-1", last.ID))
	must(t, last.Stop())
	wantRefusal(t, c, fmt.Sprintf("Broker %d only supports versions 1-1", last.ID))
	must(t, last.Start(t.Context()))
	awaitInSync(t, c)
	makeController(t, c, last)
	wantRefusal(t, c, fmt.Sprintf("Local controller %d only supports versions 1-1", last.ID))

	restartAs(t, c, last, after)
	wantLevel(t, c, before)
	must(t, eventually(t.Context(), func() error { return raise(t, c) }))
	wantLevel(t, c, next)
	tr.awaitProgress()

	must(t, last.Stop())
	last.Runs(this)
	wantStop(t, last, "klamm.version", "level 2", "1 to 1")
	tr.awaitProgress()
	must(t, last.Kill())
	must(t, last.Wipe())
	// The controller may refuse who has nothing before he has read at which level the
	// cluster is.
	wantStop(t, last, "run the version that", "other nodes run")
	stranger, err := c.Join(4)
	must(t, err)
	wantStop(t, stranger, "run the version that", "other nodes run")
	must(t, c.Leave(stranger))

	last.Runs(after)
	must(t, last.Start(t.Context()))
	awaitInSync(t, c)
	tr.awaitProgress()
	tr.stop()
	compareReplicas(t, c)
}

// TestUnknownRecord has a release write a record that the others do not know, which
// it should not. They stop and say what is to be done, and nothing is lost.
func TestUnknownRecord(t *testing.T) {
	_, after := releases(t)
	c := startCluster(t, nil)
	tr := startTraffic(t, c, createTopic(t, c, "busy", 3, nil))
	restartAs(t, c, c.Nodes[0], after)
	makeController(t, c, c.Nodes[0])
	// Nobody may be left to hear the answer.
	_ = update(t, c, "transaction.version", 1, false)
	_ = update(t, c, "group.version", 0, false)
	for _, n := range c.Nodes[1:] {
		wantEnd(t, n, "metadata record of type 99", "start the newer version that wrote it")
		wantStop(t, n, "metadata record of type 99", "start the newer version that wrote it")
		n.Runs(after)
	}
	for _, n := range c.Nodes[1:] {
		must(t, n.Launch())
	}
	awaitInSync(t, c)
	tr.awaitProgress()
	tr.stop()
	compareReplicas(t, c)
}

// restartAs stops a node and starts it as one of another binary.
func restartAs(t *testing.T, c *brokers.Cluster, n *brokers.Node, binary string) {
	t.Helper()
	must(t, n.Stop())
	n.Runs(binary)
	must(t, n.Start(t.Context()))
	awaitInSync(t, c)
}

// makeController restarts those that are the active controller until n is.
func makeController(t *testing.T, c *brokers.Cluster, n *brokers.Node) {
	t.Helper()
	for now := controller(t, c); now != n; now = controller(t, c) {
		must(t, now.Stop())
		must(t, now.Start(t.Context()))
		awaitInSync(t, c)
	}
}

// wantLevel holds the level of klamm.version against what clients are told at every
// node that runs.
func wantLevel(t *testing.T, c *brokers.Cluster, level int16) {
	t.Helper()
	for _, n := range c.Nodes {
		if !n.Awake() {
			continue
		}
		must(t, eventually(t.Context(), func() error {
			req := kmsg.NewPtrApiVersionsRequest()
			req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 4, "test", "1"
			resp, err := n.Ask(req)
			if err != nil {
				return err
			}
			for _, f := range resp.(*kmsg.ApiVersionsResponse).FinalizedFeatures {
				if f.Name == klammVersion && f.MaxVersionLevel == level {
					return nil
				}
			}
			return fmt.Errorf("%s is not at level %d of %s: %+v", n.Name, level, klammVersion, resp)
		}))
	}
}

func raise(t *testing.T, c *brokers.Cluster) error { return update(t, c, klammVersion, next, true) }

// answerPatience is for answers that may never come.
const answerPatience = 5 * time.Second

// update asks for another level of a feature.
func update(t *testing.T, c *brokers.Cluster, feature string, level int16, up bool) error {
	t.Helper()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	f.Feature, f.MaxVersionLevel, f.UpgradeType = feature, level, 2
	if up {
		f.UpgradeType = 1
	}
	req.FeatureUpdates = append(req.FeatureUpdates, f)
	ctx, cancel := context.WithTimeout(t.Context(), answerPatience)
	defer cancel()
	resp, err := req.RequestWith(ctx, history.NewClient(t, history.Patience(c.Seeds())))
	if err != nil {
		return err
	}
	err = kerr.ErrorForCode(resp.ErrorCode)
	if resp.ErrorMessage != nil {
		err = fmt.Errorf("%s: %w", *resp.ErrorMessage, err)
	}
	return err
}

func wantRefusal(t *testing.T, c *brokers.Cluster, why string) {
	t.Helper()
	must(t, eventually(t.Context(), func() error {
		err := raise(t, c)
		if err == nil {
			t.Fatal("the level was raised")
		}
		if !strings.Contains(err.Error(), why) {
			return fmt.Errorf("refused with %w, want %q", err, why)
		}
		return nil
	}))
	wantLevel(t, c, before)
}

// wantStop starts a node, which ends by itself with an error of those words.
func wantStop(t *testing.T, n *brokers.Node, words ...string) {
	t.Helper()
	must(t, n.Launch())
	wantEnd(t, n, words...)
}

// wantEnd waits until a node has ended by itself with an error of those words.
func wantEnd(t *testing.T, n *brokers.Node, words ...string) {
	t.Helper()
	must(t, eventually(t.Context(), func() error {
		if !n.Ended() {
			return fmt.Errorf("%s runs: %w", n.Name, errNotYet)
		}
		return nil
	}))
	if n.ExitCode() == 0 {
		t.Errorf("%s ended as if all were well", n.Name)
	}
	lines := strings.Split(strings.TrimSpace(n.Output()), "\n")
	end := strings.Join(lines[max(0, len(lines)-3):], "\n")
	for _, word := range words {
		if !strings.Contains(end, word) {
			t.Errorf("%s does not say %q at its end:\n%s", n.Name, word, end)
		}
	}
}
