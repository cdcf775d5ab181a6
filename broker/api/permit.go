package api

// permit splits what a request asks for into what the client may have and, for
// the rest, refusals.
func permit[T, A any](asked []T, may func(*T) error, refusal func(*T, error) A) (allowed []T, refused []A) {
	allowed = asked[:0]
	for i := range asked {
		if err := may(&asked[i]); err != nil {
			refused = append(refused, refusal(&asked[i], err))
		} else {
			allowed = append(allowed, asked[i])
		}
	}
	return allowed, refused
}

// refuseAll answers all of what a request asks for with one error: nothing of it
// was decided.
func refuseAll[T, A any](asked []T, err error, refusal func(*T, error) A) []A {
	refused := make([]A, len(asked))
	for i := range asked {
		refused[i] = refusal(&asked[i], err)
	}
	return refused
}

// unless is err where something does not hold.
func unless(holds bool, err error) error {
	if holds {
		return nil
	}
	return err
}
