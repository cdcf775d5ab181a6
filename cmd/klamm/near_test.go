package main

import (
	"slices"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"flights", "flights-late", "planes", "weather", "a", "b"}
	for name, want := range map[string][]string{
		"flihts":    {"flights"},
		"Flights":   {"flights"},
		"fligths":   {"flights"},
		"flights-l": {"flights", "flights-late"},
		"plane":     {"planes"},
		"zzz":       nil,
		"wea":       {"weather"},
	} {
		if got := nearest(name, names); !slices.Equal(got, want) {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestNearestGivesThreeAtMost(t *testing.T) {
	if got := nearest("t", []string{"t4", "t3", "t2", "t1"}); !slices.Equal(got, []string{"t1", "t2", "t3"}) {
		t.Errorf("got %q", got)
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"same", "same", 0}} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
