package record

import (
	"testing"

	"pgregory.net/rapid"
)

// slowly is what Check says without the hot path.
func slowly(b Batch, plain []byte) (sum Summary, err error) {
	sum = Summary{Count: int(b.Count()), FirstWithoutKey: -1}
	first := true
	err = b.walk(plain, new(Record), func(r *Record, _ int) error {
		sum.add(r, b.Timestamp(r), first)
		first = false
		return nil
	})
	return sum, err
}

// What summarize finds to be in order is, and its summary is the one that the
// records taken apart give: of batches in order always, and of damaged ones
// wherever it does not give them up.
func TestSummarizeAgreesWithTheWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBuilder()
		for range rapid.IntRange(1, 20).Draw(t, "records") {
			key, value := rapid.SliceOfN(rapid.Byte(), -1, 100).Draw(t, "key"), rapid.SliceOfN(rapid.Byte(), -1, 300).Draw(t, "value")
			if rapid.IntRange(0, 3).Draw(t, "null key") == 0 {
				key = nil
			}
			var headers []Header
			for range rapid.IntRange(0, 3).Draw(t, "headers") {
				headers = append(headers, Header{Key: []byte("h"), Value: rapid.SliceOfN(rapid.Byte(), -1, 10).Draw(t, "header")})
			}
			b.Append(rapid.Int64Range(0, 1<<42).Draw(t, "time"), key, value, headers...)
		}
		batch, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "append time") {
			batch.SetLogAppendTime(77)
		}
		plain := append([]byte(nil), batch.Payload()...)
		damaged := rapid.IntRange(0, 3).Draw(t, "damage")
		for range damaged {
			plain[rapid.IntRange(0, len(plain)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		quick, ok := batch.summarize(plain)
		want, err := slowly(batch, plain)
		if ok && (err != nil || quick != want) {
			t.Fatalf("summarized as %+v, the walk says %+v, %v", quick, want, err)
		}
		if !ok && damaged == 0 {
			t.Fatalf("a sound batch was given up: %+v", want)
		}
	})
}
