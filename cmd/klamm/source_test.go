package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// drain reads a source to its end, each record as "key=value @timestamp"; null
// shows as ∅.
func drain(t *testing.T, s source) ([]string, error) {
	t.Helper()
	var records []*kgo.Record
	var err error
	for err == nil {
		var r *kgo.Record
		if r, err = s.next(); err == nil {
			records = append(records, r)
		}
	}
	var shown []string // only now, so that shared memory would show
	for _, r := range records {
		text := nullable(r.Key) + "=" + nullable(r.Value)
		if !r.Timestamp.IsZero() {
			text += " @" + r.Timestamp.UTC().Format(time.RFC3339)
		}
		shown = append(shown, text)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return shown, err
}

func nullable(b []byte) string {
	if b == nil {
		return "∅"
	}
	return string(b)
}

func TestSources(t *testing.T) {
	for _, c := range []struct {
		name    string
		options produceOptions
		input   string
		want    []string
		fails   string
	}{
		{"lines", produceOptions{format: "lines"}, "a\n\nc\r\nlast", []string{"∅=a", "∅=", "∅=c\r", "∅=last"}, ""},
		{"no lines", produceOptions{format: "lines"}, "", nil, ""},
		{"keys in lines", produceOptions{format: "lines", keySeparator: ":"}, "k:v:w\nnone\n:v\nk:\n", []string{"k=v:w", "∅=none", "=v", "k="}, ""},
		{"tab separates", produceOptions{format: "lines", keySeparator: `\t`}, "k\tv\n", []string{"k=v"}, ""},
		{"bad separator", produceOptions{format: "lines", keySeparator: `\q`}, "k\tv\n", nil, `\q is unknown`},

		{"csv", produceOptions{format: "csv", keyField: "tail"}, "tail,n,zip\nN1,5,02134\n,-1.50,\n\"N,3\",1e5,\"say \"\"hi\"\"\"\n",
			[]string{`N1={"tail":"N1","n":5,"zip":"02134"}`, `∅={"tail":"","n":-1.50,"zip":""}`, `N,3={"tail":"N,3","n":"1e5","zip":"say \"hi\""}`}, ""},
		{"csv with byte order mark", produceOptions{format: "csv", keyField: "a"}, "\ufeffa\nx\n", []string{`x={"a":"x"}`}, ""},
		{"csv timestamps", produceOptions{format: "csv", timestampField: "at"}, "at\n2013-01-01T10:00:00Z\n1000\n",
			[]string{`∅={"at":"2013-01-01T10:00:00Z"} @2013-01-01T10:00:00Z`, `∅={"at":1000} @1970-01-01T00:00:01Z`}, ""},
		{"csv, bad timestamp", produceOptions{format: "csv", timestampField: "at"}, "at\n0\nnoon\n", []string{`∅={"at":0} @1970-01-01T00:00:00Z`}, `line 3: "noon" is no time`},
		{"csv, short row", produceOptions{format: "csv"}, "a,b\n1,2\n3\n", []string{`∅={"a":1,"b":2}`}, "line 3: it has 1 field, the first line 2"},
		{"csv, unknown column", produceOptions{format: "csv", keyField: "tailnun"}, "year,tailnum\n", nil, "no column tailnun. Did you mean tailnum? The columns are year, tailnum"},
		{"csv, empty", produceOptions{format: "csv"}, "", nil, "it is empty"},

		{"json", produceOptions{format: "json"}, "{\"a\":1}\n\n  [2]  \n", []string{`∅={"a":1}`, `∅=[2]`}, ""},
		{"json keys", produceOptions{format: "json", keyField: "k"},
			`{"k":"aé","v":1}` + "\n" + `{"k":12}` + "\n" + `{"k":null}` + "\n" + `{"k":""}` + "\n" + `{"k":{"x": 1}}`,
			[]string{`aé={"k":"aé","v":1}`, `12={"k":12}`, `∅={"k":null}`, `∅={"k":""}`, `{"x": 1}={"k":{"x": 1}}`}, ""},
		{"json escapes in keys", produceOptions{format: "json", keyField: "k"}, `{"k":"\u00e9\n"}`, []string{"é\n=" + `{"k":"\u00e9\n"}`}, ""},
		{"json timestamps", produceOptions{format: "json", timestampField: "at"}, `{"at":1000}`, []string{`∅={"at":1000} @1970-01-01T00:00:01Z`}, ""},
		{"json, missing field", produceOptions{format: "json", keyField: "k"}, "{\"k\":1}\n{\"kk\":1}", []string{`1={"k":1}`}, "line 2: there is no field k. Did you mean kk?"},
		{"json, broken", produceOptions{format: "json"}, "{}\n{\n", []string{"∅={}"}, "line 2: not JSON: unexpected end"},
		{"json, no object", produceOptions{format: "json", keyField: "k"}, "[1]", nil, "line 1: not a JSON object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := c.options.source(strings.NewReader(c.input))
			var got []string
			if err == nil {
				got, err = drain(t, s)
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
				t.Errorf("records %q, want %q", got, c.want)
			}
			if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
		})
	}
}

func TestLineTooLong(t *testing.T) {
	s := &lineSource{lines: newLineReader(io.MultiReader(strings.NewReader("ok\n"), endless{}))}
	_, err := drain(t, s)
	if err == nil || !strings.Contains(err.Error(), "line 2 is longer than 104.9 MB") {
		t.Errorf("error %v", err)
	}
}

// endless is a line without end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func TestIsPlainNumber(t *testing.T) {
	for field, want := range map[string]bool{
		"0": true, "-1": true, "10": true, "0.5": true, "-0.25": true, "123456789012345": true,
		"": false, "-": false, "01": false, "1.": false, ".5": false, "1e5": false, "+1": false, "NA": false,
		"1234567890123456": false, "1.2.3": false, "0x1": false, "--1": false,
	} {
		if got := isPlainNumber(field); got != want {
			t.Errorf("isPlainNumber(%q) = %t", field, got)
		}
	}
}

func TestFormatOf(t *testing.T) {
	for name, want := range map[string]string{
		"a.csv": "csv", "A.CSV.GZ": "csv", "a.csv.zst": "csv", "a.jsonl": "json", "a.json.gz": "json", "a.ndjson": "json",
		"a": "lines", "a.txt": "lines", "csv": "lines", "a.gz": "lines",
	} {
		if got := formatOf(name); got != want {
			t.Errorf("formatOf(%q) = %s, want %s", name, got, want)
		}
	}
}

// BenchmarkCSV shows that reading is not what limits `klamm produce`.
func BenchmarkCSV(b *testing.B) {
	row := "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z\n"
	header := "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour\n"
	file := header + strings.Repeat(row, 1000)
	b.ReportAllocs()
	for b.Loop() {
		s, err := newCSVSource(strings.NewReader(file), "tailnum", "")
		for err == nil {
			_, err = s.next()
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "rows/s")
}
