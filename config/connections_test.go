package config

import (
	"maps"
	"strings"
	"testing"
)

func TestAddressLimits(t *testing.T) {
	got, err := parseAddressLimits("10.0.0.7:100, ::1:0,[fe80::1]:7")
	if want := map[string]int{"10.0.0.7": 100, "::1": 0, "fe80::1": 7}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"10.0.0.7", "nowhere:5", "10.0.0.7:-1", "10.0.0.7:x"} {
		if _, _, err := Load("", nil, []string{"log.dirs=/data", "max.connections.per.ip.overrides=" + bad}); err == nil || !strings.Contains(err.Error(), "max.connections.per.ip.overrides") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
