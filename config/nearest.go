package config

// nearest returns the key that name is most likely a misspelling of, or "" when
// none is like it. At most one byte in four may differ.
func nearest(name string) string {
	best, distance := "", len(name)/4+1
	for i := range brokerKeys {
		if d := editDistance(name, brokerKeys[i].name); d < distance {
			best, distance = brokerKeys[i].name, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions and changes of a byte that make
// b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
