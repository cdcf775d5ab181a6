package metadata

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestTree holds the tree against a map: same content, sorted, balanced, and
// every earlier version still as it was.
func TestTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := newTree[int, int](cmp.Compare[int])
		model := map[int]int{}
		old, oldModel := tree, maps.Clone(model)
		for step := range rapid.IntRange(0, 200).Draw(t, "steps") {
			key := rapid.IntRange(0, 60).Draw(t, "key")
			if rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
				tree = tree.delete(key)
				delete(model, key)
			} else {
				tree = tree.put(key, step)
				model[key] = step
			}
			if step%17 == 0 {
				old, oldModel = tree, maps.Clone(model)
			}
		}
		requireTree(t, tree, model)
		requireTree(t, old, oldModel)
	})
}

func requireTree(t *rapid.T, tree tree[int, int], model map[int]int) {
	if got := maps.Collect(tree.all()); !maps.Equal(got, model) || tree.count != len(model) {
		t.Fatalf("%d entries %v, want %v", tree.count, got, model)
	}
	keys := slices.Sorted(maps.Keys(model))
	for start := -1; start <= 61; start++ {
		at, _ := slices.BinarySearch(keys, start)
		var got []int
		for k := range tree.from(start) {
			got = append(got, k)
		}
		if !slices.Equal(got, keys[at:]) {
			t.Fatalf("from %d: %v, want %v", start, got, keys[at:])
		}
		value, found := tree.get(start)
		if want, has := model[start]; found != has || value != want {
			t.Fatalf("get %d: %d %v, want %d %v", start, value, found, want, has)
		}
	}
	requireBalanced(t, tree.root)
}

func requireBalanced(t *rapid.T, n *node[int, int]) int8 {
	if n == nil {
		return 0
	}
	l, r := requireBalanced(t, n.left), requireBalanced(t, n.right)
	if l-r > 1 || r-l > 1 || n.height != 1+max(l, r) {
		t.Fatalf("key %d: height %d over %d and %d", n.key, n.height, l, r)
	}
	return n.height
}

func TestTreeStopsWhenAsked(t *testing.T) {
	tree := newTree[int, int](cmp.Compare[int])
	for k := range 10 {
		tree = tree.put(k, k)
	}
	var got []int
	for k := range tree.from(3) {
		if got = append(got, k); k == 5 {
			break
		}
	}
	if !slices.Equal(got, []int{3, 4, 5}) {
		t.Fatalf("got %v", got)
	}
}
