package readme

import "testing"

func TestReplace(t *testing.T) {
	got, err := replace("before\n<!-- load -->\nold\n<!-- /load -->\nafter\n", "load", "new\n")
	if want := "before\n<!-- load -->\nnew\n<!-- /load -->\nafter\n"; err != nil || got != want {
		t.Errorf("it is %q (%v), want %q", got, err, want)
	}
	for _, text := range []string{"nothing\n", "<!-- /load -->\n<!-- load -->\n", "<!-- loads -->\n<!-- /loads -->\n"} {
		if _, err := replace(text, "load", "new\n"); err == nil {
			t.Errorf("a table has its place in %q", text)
		}
	}
}
