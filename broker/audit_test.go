package broker

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/audit"
	"github.com/klamm-io/klamm/storage/disk"
)

// told is what a test reads of a line.
type told struct {
	Class  int    `json:"class_uid"`
	Action int    `json:"action_id"`
	Detail string `json:"status_detail"`
	Actor  struct {
		User struct {
			Name string `json:"name"`
		} `json:"user"`
	} `json:"actor"`
	API struct {
		Operation string `json:"operation"`
	} `json:"api"`
	Resources []audit.Resource `json:"resources"`
}

// audited are the lines of a log, and their text.
func audited(t *testing.T, dir string) (all []told, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var one told
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all, string(raw)
}

// TestAuditLog: who changes something and who is refused is in the log, with what it is about
// and how it came out; what lists leave out is no refusal, and no value of a config is told.
func TestAuditLog(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "audit")
	n := start(t, disk.OS, t.TempDir(), "klamm.audit.dir="+dir, "authorizer.class.name="+security.StandardClass, "allow.everyone.if.no.acl.found=true")
	n.create(map[string]string{"retention.ms": "4711"}, "orders")
	adm := kadm.NewClient(n.client())
	if _, err := adm.CreateTopics(deadline(t), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	n.limit("user", "alice", map[string]float64{"producer_byte_rate": 1 << 20})
	acl := kadm.NewACLs().Deny("User:ANONYMOUS").DenyHosts("*").Topics("orders").Operations(kadm.OpWrite, kadm.OpDescribe).ResourcePatternType(kadm.ACLPatternLiteral)
	if _, err := adm.CreateACLs(deadline(t), acl); err != nil {
		t.Fatal(err)
	}
	if code := n.putTo("orders", 0, values(t, "x")); code != kerr.TopicAuthorizationFailed.Code {
		t.Fatalf("code %d", code)
	}
	if _, err := adm.ListTopics(deadline(t)); err != nil {
		t.Fatal(err)
	}
	n.stopClean()

	all, text := audited(t, dir)
	var got []string
	for _, one := range all {
		line := one.API.Operation + " of " + one.Actor.User.Name
		for _, r := range one.Resources {
			line += ", " + r.Type + " " + r.Name
		}
		if one.Detail != "" {
			line += ": " + one.Detail
		}
		got = append(got, line)
	}
	want := []string{
		"CreateTopics of ANONYMOUS, topic orders, name retention.ms",
		"CreateTopics of ANONYMOUS, topic orders: TOPIC_ALREADY_EXISTS",
		"AlterClientQuotas of ANONYMOUS, name alice, quota producer_byte_rate",
		"CreateACLs of ANONYMOUS, resource orders, principal User:ANONYMOUS, resource orders, principal User:ANONYMOUS",
		"Produce of ANONYMOUS, topic orders: no right to write",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if strings.Contains(text, "4711") {
		t.Error("a config's value is told")
	}
	totals, err := audit.Verify(disk.OS, dir, func(f audit.Finding) { t.Errorf("%+v", f) }, func(string) {})
	if err != nil || totals.Missing != 0 {
		t.Errorf("%+v, %v", totals, err)
	}
}
