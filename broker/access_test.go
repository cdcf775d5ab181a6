package broker

import (
	"context"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/storage/disk"
)

// guarded sets a broker that authorizes, and lets everyone do what no ACL is about.
var guarded = []string{"authorizer.class.name=" + security.StandardClass, "allow.everyone.if.no.acl.found=true"}

// nobodyWrites denies writing to a topic.
func nobodyWrites(topic string) *kadm.ACLBuilder {
	return kadm.NewACLs().Topics(topic).ResourcePatternType(kadm.ACLPatternLiteral).Deny("User:*").DenyHosts("*").Operations(kadm.OpWrite)
}

func has(img *metadata.Image, topic string) bool {
	return img.HasACL(security.ACL{Type: security.Topic, Pattern: security.Literal, Name: topic, Principal: "User:*", Host: "*", Operation: security.Write, Permission: security.Deny})
}

func createACLs(t *testing.T, ctx context.Context, cl *kgo.Client, acls *kadm.ACLBuilder) {
	t.Helper()
	created, err := kadm.NewClient(cl).CreateACLs(ctx, acls)
	if err != nil || len(created) != 1 || created[0].Err != nil {
		t.Fatalf("create an ACL: %+v, %v", created, err)
	}
}

// TestACLsOutliveTheBroker: a broker that starts again lets nobody do what was denied,
// from its first request on, and keeps who was allowed again.
func TestACLsOutliveTheBroker(t *testing.T) {
	fs := disk.NewMemory()
	n := start(t, fs, "/data", guarded...)
	n.create(nil, "closed", "open")
	cl := n.client()
	createACLs(t, t.Context(), cl, nobodyWrites("closed"))
	createACLs(t, t.Context(), cl, nobodyWrites("open"))
	if deleted, err := kadm.NewClient(cl).DeleteACLs(t.Context(), nobodyWrites("open")); err != nil || len(deleted) != 1 || len(deleted[0].Deleted) != 1 {
		t.Fatalf("delete an ACL: %+v, %v", deleted, err)
	}
	for range 2 {
		if code := n.put("closed", values(t, "a")).ErrorCode; code != kerr.TopicAuthorizationFailed.Code {
			t.Fatalf("code %d", code)
		}
		n.mustPut("open", "a")
		n.stopClean()
		n = start(t, fs, "/data", guarded...)
	}
	n.stopClean()
	n = start(t, fs, "/data") // without the authorizer nobody asks for them, but they stay
	n.mustPut("closed", "a")
	if !has(n.view.Image(), "closed") || has(n.view.Image(), "open") {
		t.Errorf("ACLs %v", slices.Collect(n.view.Image().ACLs()))
	}
}

// TestACLsOutliveTheirControllers: ACLs that any node was told of are there whoever leads
// the quorum, and hold on every node, one that was away included.
func TestACLsOutliveTheirControllers(t *testing.T) {
	c := startNodes(t, 3, guarded...)
	c.await("three brokers take part", unfenced(3))
	cl := c.client()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	for i := range c.up {
		topic := string(rune('a' + i))
		createACLs(t, ctx, cl, nobodyWrites(topic))
		away := c.decides()
		c.stop(away)
		c.await("the ACL is there without who decided it", func(img *metadata.Image) bool { return has(img, topic) })
		createACLs(t, ctx, cl, nobodyWrites(topic+"-while-away"))
		c.start(away)
		c.await("all take part again", unfenced(3))
	}
	if deleted, err := kadm.NewClient(cl).DeleteACLs(ctx, nobodyWrites("a")); err != nil || len(deleted[0].Deleted) != 1 {
		t.Fatalf("delete an ACL: %+v, %v", deleted, err)
	}
	for i, n := range c.up {
		for topic, want := range map[string]bool{"a": false, "a-while-away": true, "b": true, "b-while-away": true, "c": true, "c-while-away": true, "d": false} {
			eventually(t, "a node knows of every ACL", func() bool {
				allowed := n.authorizer.Allowed(security.Anonymous, "127.0.0.1", security.Write, security.Resource{Type: security.Topic, Name: topic})
				return has(n.view.Image(), topic) == want && allowed == !want
			})
			if t.Failed() {
				t.Fatalf("node %d, topic %s", i+1, topic)
			}
		}
	}
}

// TestNothingIsServedBeforeTheACLsAreKnown: a broker that has not heard of the metadata
// would let in whom an ACL denies. It hangs up, so that clients ask elsewhere.
func TestNothingIsServedBeforeTheACLsAreKnown(t *testing.T) {
	addrs := freeAddrs(t, 2)
	c := &nodes{t: t, up: make([]*node, 1), disks: []disk.FS{disk.NewMemory()}}
	c.sets = [][]string{append([]string{
		"process.roles=broker", "node.id=1", "controller.quorum.voters=2@" + addrs[0], "listeners=PLAINTEXT://" + addrs[1], "controller.listener.names=CONTROLLER",
	}, guarded...)}
	c.format(0)
	c.start(0)
	conn := c.up[0].dial()
	if resp := askOn[*kmsg.ApiVersionsResponse](t, conn, kmsg.NewPtrApiVersionsRequest()); len(resp.ApiKeys) == 0 {
		t.Error("no API is told of")
	}
	if _, err := conn.RoundTrip(kmsg.NewPtrMetadataRequest()); err == nil {
		t.Error("who may do what was answered without being known")
	}
	c.stop(0)
}
