package main

import (
	"testing"
	"time"
)

func sampled(klamm, apache []float64) samples {
	s := newSamples()
	s[0], s[1] = klamm, apache
	return s
}

func TestRow(t *testing.T) {
	r := row{"produce", []column{
		{"MB/s", higher, sampled([]float64{500, 1, 900}, []float64{200, 250, 300})},
		{"CPU s/GB", lower, sampled([]float64{0.5}, []float64{4})},
	}}
	r.columns[1].samples[2] = []float64{0.25}
	want := "| produce | 500 MB/s, 0.50 CPU s/GB | 250 MB/s, 4.0 CPU s/GB | 2.0×, 8.0× | 0.25 CPU s/GB |"
	if got := r.markdown(); got != want {
		t.Errorf("the row is %s, want %s", got, want)
	}
}

func TestFirstRoundDoesNotCount(t *testing.T) {
	s := newSamples()
	for round, figure := range []float64{1, 20, 30, 40} {
		s.add(round, 0, figure)
	}
	if got := s.median(0); got != 30 {
		t.Errorf("the median is %v, want 30", got)
	}
}

func TestNumber(t *testing.T) {
	for f, want := range map[float64]string{0.123: "0.12", 4.56: "4.6", 45.6: "46", 4567.8: "4568", 23004: "23,004"} {
		if got := number(f); got != want {
			t.Errorf("%v is shown as %s, want %s", f, got, want)
		}
	}
}

func TestTableNamesItsConditions(t *testing.T) {
	m := &measurement{rounds: 4, length: 2 * time.Second, rows: []row{{"start", []column{{"s", lower, sampled([]float64{0.02}, []float64{2})}}}}}
	got := m.table()
	want := "| | Klamm | Apache Kafka 4.3.1 | better by | the floor |\n|---|---|---|---|---|\n| start | 0.02 s | 2.0 s | 100× |  |\n"
	if len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}
