package metadata

import "iter"

// tree is a persistent sorted map: an AVL tree whose put and delete copy the
// path from the root and share the rest with the tree they began from, which
// stays as it was.
type tree[K, V any] struct {
	compare func(K, K) int
	root    *node[K, V]
	count   int
}

type node[K, V any] struct {
	key         K
	value       V
	left, right *node[K, V]
	height      int8
}

func newTree[K, V any](compare func(K, K) int) tree[K, V] {
	return tree[K, V]{compare: compare}
}

func (t tree[K, V]) get(key K) (value V, found bool) {
	for n := t.root; n != nil; {
		switch c := t.compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n.value, true
		}
	}
	return value, false
}

func (t tree[K, V]) put(key K, value V) tree[K, V] {
	if _, found := t.get(key); !found {
		t.count++
	}
	t.root = t.insert(t.root, key, value)
	return t
}

func (t tree[K, V]) insert(n *node[K, V], key K, value V) *node[K, V] {
	if n == nil {
		return &node[K, V]{key: key, value: value, height: 1}
	}
	switch c := t.compare(key, n.key); {
	case c < 0:
		return n.with(t.insert(n.left, key, value), n.right)
	case c > 0:
		return n.with(n.left, t.insert(n.right, key, value))
	}
	return &node[K, V]{key: key, value: value, left: n.left, right: n.right, height: n.height}
}

func (t tree[K, V]) delete(key K) tree[K, V] {
	if _, found := t.get(key); !found {
		return t
	}
	t.count--
	t.root = t.remove(t.root, key)
	return t
}

// remove takes out key, which is there.
func (t tree[K, V]) remove(n *node[K, V], key K) *node[K, V] {
	switch c := t.compare(key, n.key); {
	case c < 0:
		return n.with(t.remove(n.left, key), n.right)
	case c > 0:
		return n.with(n.left, t.remove(n.right, key))
	case n.left == nil:
		return n.right
	case n.right == nil:
		return n.left
	}
	next := n.right
	for next.left != nil {
		next = next.left
	}
	return next.with(n.left, t.remove(n.right, next.key))
}

// from yields the entries whose key is start or greater, in order.
func (t tree[K, V]) from(start K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.walk(t.root, &start, yield) }
}

// all yields every entry in order.
func (t tree[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.walk(t.root, nil, yield) }
}

func (t tree[K, V]) walk(n *node[K, V], start *K, yield func(K, V) bool) bool {
	if n == nil {
		return true
	}
	if start != nil && t.compare(n.key, *start) < 0 {
		return t.walk(n.right, start, yield)
	}
	return t.walk(n.left, start, yield) && yield(n.key, n.value) && t.walk(n.right, nil, yield)
}

func (n *node[K, V]) depth() int8 {
	if n == nil {
		return 0
	}
	return n.height
}

// with returns n's entry over the given subtrees, which differ in height by two
// at most, turned so that no two siblings differ by more than one.
func (n *node[K, V]) with(left, right *node[K, V]) *node[K, V] {
	switch l, r := left.depth(), right.depth(); {
	case l > r+1 && left.left.depth() < left.right.depth():
		mid := left.right
		return mid.over(left.over(left.left, mid.left), n.over(mid.right, right))
	case l > r+1:
		return left.over(left.left, n.over(left.right, right))
	case r > l+1 && right.right.depth() < right.left.depth():
		mid := right.left
		return mid.over(n.over(left, mid.left), right.over(mid.right, right.right))
	case r > l+1:
		return right.over(n.over(left, right.left), right.right)
	}
	return n.over(left, right)
}

// over returns n's entry over the given subtrees as they are.
func (n *node[K, V]) over(left, right *node[K, V]) *node[K, V] {
	return &node[K, V]{n.key, n.value, left, right, 1 + max(left.depth(), right.depth())}
}
