package quantity

import "testing"

func TestDigits(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 336776: "336,776", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := Digits(n); got != want {
			t.Errorf("Digits(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestCounted(t *testing.T) {
	for n, want := range map[int64]string{0: "0 records", 1: "1 record", 2000: "2,000 records"} {
		if got := Counted(n, "record", "records"); got != want {
			t.Errorf("Counted(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 102_900_000: "102.9 MB", 5e9: "5.0 GB", 1.5e12: "1.5 TB", 2e15: "2000.0 TB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%f) = %s, want %s", n, got, want)
		}
	}
}
