package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/test/wire"
)

// TestFeaturesAreToldOf: the levels that the cluster is at, of which a client that was
// told before hears by a later epoch.
func TestFeaturesAreToldOf(t *testing.T) {
	conn, err := wire.Dial(start(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before := askVersions(t, conn, 4)
	const (
		range4 = "eligible.leader.replicas.version=1-1 group.version=0-1 klamm.version=1-1 metadata.version=30-30 transaction.version=0-2"
		range3 = "eligible.leader.replicas.version=1-1 klamm.version=1-1 metadata.version=30-30"
		levels = "eligible.leader.replicas.version=1 group.version=1 klamm.version=1 metadata.version=30 transaction.version=2"
	)
	requireEqual(t, "the levels", finalized(before), levels)
	requireEqual(t, "what is supported", supported(before), range4)
	requireEqual(t, "what is supported, below version 4", supported(askVersions(t, conn, 3)), range3)

	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.Version = 2
	req.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{
		{Feature: "transaction.version", MaxVersionLevel: 1, UpgradeType: 2}, {Feature: "group.version", MaxVersionLevel: 0, UpgradeType: 3}}
	resp, err := conn.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if r := resp.(*kmsg.UpdateFeaturesResponse); r.ErrorCode != 0 {
		t.Fatalf("code %d, %s", r.ErrorCode, *r.ErrorMessage)
	}
	after := askVersions(t, conn, 4)
	lower := strings.NewReplacer("transaction.version=2", "transaction.version=1", "group.version=1 ", "").Replace(levels)
	requireEqual(t, "the levels", finalized(after), lower)
	if after.FinalizedFeaturesEpoch <= before.FinalizedFeaturesEpoch {
		t.Errorf("told in epoch %d, after epoch %d", after.FinalizedFeaturesEpoch, before.FinalizedFeaturesEpoch)
	}
}

func askVersions(t *testing.T, conn *wire.Conn, version int16) *kmsg.ApiVersionsResponse {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = version, "test", "1"
	resp, err := conn.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.ApiVersionsResponse)
}

func supported(resp *kmsg.ApiVersionsResponse) string {
	var all []string
	for _, f := range resp.SupportedFeatures {
		all = append(all, fmt.Sprintf("%s=%d-%d", f.Name, f.MinVersion, f.MaxVersion))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func finalized(resp *kmsg.ApiVersionsResponse) string {
	var all []string
	for _, f := range resp.FinalizedFeatures {
		all = append(all, fmt.Sprintf("%s=%d", f.Name, f.MaxVersionLevel))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func requireEqual(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s are %q, want %q", what, got, want)
	}
}
