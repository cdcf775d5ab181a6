package main

import (
	"strings"
	"testing"
)

func TestCheckFailsBeyondNoise(t *testing.T) {
	before := baseline{"large": 2, "fetch": 1}
	if err := (baseline{"large": 2.4, "fetch": 0.5}).against(before); err != nil {
		t.Errorf("within noise: %v", err)
	}
	err := baseline{"large": 2.6, "fetch": 1, "new": 1}.against(before)
	if err == nil || !strings.Contains(err.Error(), "large takes 2.60 times") || !strings.Contains(err.Error(), "new has no baseline") || strings.Contains(err.Error(), "fetch") {
		t.Errorf("the check says: %v", err)
	}
}

func TestPictureShowsEveryFigure(t *testing.T) {
	s := sampled([]float64{1, 2, 3}, []float64{4})
	m := &measurement{rows: []row{{"a < b", []column{{"MB/s", higher, s}}}}}
	got := m.svg()
	for _, want := range []string{"a &lt; b", "MB/s", `width="165.0"`, `d="M512.5 38H677.5"`, ">2.0<", ">4.0<"} {
		if !strings.Contains(got, want) {
			t.Errorf("the picture has no %s:\n%s", want, got)
		}
	}
}
