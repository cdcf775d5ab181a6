package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newQuotaCommand(env *environment) *cobra.Command {
	return parentCommand("quota", "Set, list and delete quotas: who may use how much",
		newQuotaSetCommand(env),
		newQuotaListCommand(env),
		newQuotaDeleteCommand(env),
	)
}

// quotaKeys are the quotas that there are, with what the help says of them.
var quotaKeys = []struct{ key, says string }{
	{"producer_byte_rate", "bytes of produce requests a second"},
	{"consumer_byte_rate", "bytes of fetched records a second"},
	{"request_percentage", "time of one processor, in percent"},
	{"controller_mutation_rate", "partitions created and deleted a second"},
	{"connection_creation_rate", "connections a second, of an address"},
}

func quotaHelp() string {
	var b strings.Builder
	for _, k := range quotaKeys {
		fmt.Fprintf(&b, "\n  %-25s %s", k.key, k.says)
	}
	return b.String()
}

// quotaEntity is whom the flags of a command name.
type quotaEntity struct {
	user, clientID, ip          string
	anyUser, anyClientID, anyIP bool
}

func (q *quotaEntity) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&q.user, "for-user", "", "of this `USER`, as alice")
	flags.StringVar(&q.clientID, "for-client-id", "", "of clients with this `ID`")
	flags.StringVar(&q.ip, "for-ip", "", "of clients at this `ADDRESS`")
	flags.BoolVar(&q.anyUser, "user-defaults", false, "of every user that has none of its own")
	flags.BoolVar(&q.anyClientID, "client-defaults", false, "of every client id that has none of its own")
	flags.BoolVar(&q.anyIP, "ip-defaults", false, "of every address that has none of its own")
}

// quotaPart is a part of an entity; a nil name is the default.
type quotaPart struct {
	kind string
	name *string
}

// parts are what the flags name, none for nobody in particular.
func (q *quotaEntity) parts(cmd *cobra.Command) (all []quotaPart, err error) {
	for _, p := range []struct {
		kind, name string
		any        bool
	}{{"user", q.user, q.anyUser}, {"client-id", q.clientID, q.anyClientID}, {"ip", q.ip, q.anyIP}} {
		switch {
		case p.any && p.name != "":
			return nil, badUsage(cmd, "--for-%s names one, and the defaults are of those without a name: leave one out", p.kind)
		case p.any:
			all = append(all, quotaPart{kind: p.kind})
		case p.name != "":
			all = append(all, quotaPart{p.kind, &p.name})
		}
	}
	if len(all) > 1 && all[len(all)-1].kind == "ip" {
		return nil, badUsage(cmd, "an address has a quota of its own, not together with a user or client id")
	}
	return all, nil
}

// named is parts of which there must be some.
func (q *quotaEntity) named(cmd *cobra.Command) ([]quotaPart, error) {
	all, err := q.parts(cmd)
	if err == nil && len(all) == 0 {
		err = badUsage(cmd, "say whose quota: --for-user, --for-client-id, both, or --for-ip, or the defaults")
	}
	return all, err
}

// quotaRow is one quota as it is listed.
type quotaRow struct {
	User     string  `json:"user,omitempty"`
	ClientID string  `json:"client_id,omitempty"`
	IP       string  `json:"ip,omitempty"`
	Quota    string  `json:"quota"`
	Value    float64 `json:"value"`
}

// defaultName is how a listing names the default.
const defaultName = "<default>"

func quotaName(name *string) string {
	if name == nil {
		return defaultName
	}
	return *name
}

// String says it in a line.
func (r quotaRow) String() string {
	var of []string
	for _, p := range []struct{ kind, name string }{{"user", r.User}, {"client-id", r.ClientID}, {"ip", r.IP}} {
		if p.name != "" {
			of = append(of, p.kind+" "+p.name)
		}
	}
	return fmt.Sprintf("%s of %s", r.Quota, strings.Join(of, ", "))
}

func compareQuotas(a, b quotaRow) int {
	return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.ClientID, b.ClientID), strings.Compare(a.IP, b.IP), strings.Compare(a.Quota, b.Quota))
}

// quotaNumber writes a value without the exponent that large floats have.
func quotaNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func alteredEntity(parts []quotaPart) (all []kmsg.AlterClientQuotasRequestEntryEntity) {
	for _, p := range parts {
		all = append(all, kmsg.AlterClientQuotasRequestEntryEntity{Type: p.kind, Name: p.name})
	}
	return all
}

// rowOf is a quota of those parts.
func rowOf(parts []quotaPart, key string, value float64) quotaRow {
	r := quotaRow{Quota: key, Value: value}
	for _, p := range parts {
		switch p.kind {
		case "user":
			r.User = quotaName(p.name)
		case "client-id":
			r.ClientID = quotaName(p.name)
		case "ip":
			r.IP = quotaName(p.name)
		}
	}
	return r
}
