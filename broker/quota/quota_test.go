package quota

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/cluster/metadata"
)

var elevenSeconds = Windows{Num: 11, Size: time.Second}

var start = time.Unix(1000, 0)

// limits sets one kind of quota for entities in the form "user/client", where "*" is
// the default and nothing is no part.
func limits(t testing.TB, kind Kind, of map[string]float64) *Limits {
	var records []metadata.Record
	for entity, value := range of {
		var user, client string
		if n, err := fmt.Sscanf(entity, "%s %s", &user, &client); n != 2 || err != nil {
			t.Fatalf("entity %q", entity)
		}
		records = append(records, &metadata.QuotaSet{Entity: metadata.QuotaEntity{User: part(user), ClientID: part(client)}, Key: kind.Key(), Value: &value})
	}
	img, _, err := metadata.Empty().Apply(records)
	if err != nil {
		t.Fatal(err)
	}
	return NewLimits(img)
}

func part(word string) metadata.QuotaName {
	switch word {
	case "-":
		return metadata.QuotaName{}
	case "*":
		return metadata.DefaultQuota()
	}
	return metadata.NamedQuota(word)
}

// TestPrecedence: of all quotas that fit a client the most particular counts, and who
// shares it follows from which one it is. Taking them away one after the other shows
// the order.
func TestPrecedence(t *testing.T) {
	order := []struct {
		entity string
		who    Holder
	}{
		{"u c", Holder{"u", "c"}}, {"u *", Holder{"u", "c"}}, {"u -", Holder{"u", ""}}, {"* c", Holder{"u", "c"}},
		{"* *", Holder{"u", "c"}}, {"* -", Holder{"u", ""}}, {"- c", Holder{"", "c"}}, {"- *", Holder{"", "c"}},
	}
	all := map[string]float64{"other c": 90, "u other": 91, "other -": 92, "- other": 93}
	for i, rule := range order {
		all[rule.entity] = float64(i + 1)
	}
	for i, rule := range order {
		who, limit, bounded := limits(t, Fetch, all).Of(Fetch, "u", "c")
		if !bounded || limit != float64(i+1) || who != rule.who {
			t.Errorf("rule %q: %v of %+v, bounded %v", rule.entity, limit, who, bounded)
		}
		delete(all, rule.entity)
	}
	l := limits(t, Fetch, all)
	if _, _, bounded := l.Of(Fetch, "u", "c"); bounded {
		t.Error("a client that no quota fits is bounded")
	}
	if _, _, bounded := l.Of(Produce, "other", "c"); bounded {
		t.Error("a quota for fetches bounds produces")
	}
	if _, _, bounded := (*Limits)(nil).Of(Fetch, "u", "c"); bounded {
		t.Error("nothing bounds")
	}
}

// TestEmptyClientID: a client without an id has a default's quota, and shares it with
// all others without one.
func TestEmptyClientID(t *testing.T) {
	who, limit, bounded := limits(t, Produce, map[string]float64{"- *": 5}).Of(Produce, "u", "")
	if !bounded || limit != 5 || who != (Holder{}) {
		t.Errorf("%v of %+v, bounded %v", limit, who, bounded)
	}
}

// TestWhoWaitsKeepsTheRate: a client that waits as long as it is told, and takes no more
// at once than it may, never uses much more than its quota over the windows, and is not
// held back much below it either.
func TestWhoWaitsKeepsTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Windows{Num: rapid.IntRange(2, 12).Draw(t, "windows"), Size: time.Duration(rapid.IntRange(1, 3).Draw(t, "seconds")) * time.Second}
		limit := float64(rapid.IntRange(100, 1_000_000).Draw(t, "limit"))
		c := New(w)
		c.SetLimits(drawnLimits(t, limit))
		now, used := start, 0.0
		for now.Sub(start) < 5*w.span() {
			amount := limit * rapid.Float64Range(0.01, 0.5).Draw(t, "amount")
			used += amount
			now = now.Add(c.Use(Produce, "u", "c", amount, now)).Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * time.Millisecond)
		}
		got := used / now.Sub(start).Seconds()
		if got > 1.4*limit {
			t.Fatalf("%.0f a second got through a quota of %.0f", got, limit)
		}
		if got < 0.6*limit {
			t.Fatalf("%.0f a second is all that a quota of %.0f let through", got, limit)
		}
	})
}

func drawnLimits(t *rapid.T, limit float64) *Limits {
	img, _, err := metadata.Empty().Apply([]metadata.Record{&metadata.QuotaSet{Entity: metadata.QuotaEntity{User: metadata.NamedQuota("u")}, Key: Produce.Key(), Value: &limit}})
	if err != nil {
		t.Fatal(err)
	}
	return NewLimits(img)
}

// TestWaits: how long follows from the rate over all windows, the first second too.
func TestWaits(t *testing.T) {
	c := New(elevenSeconds)
	c.SetLimits(limits(t, Produce, map[string]float64{"u -": 1000}))
	use := func(amount float64, after time.Duration) time.Duration {
		return c.Use(Produce, "u", "c", amount, start.Add(after))
	}
	if got := use(10_000, 0); got != 0 {
		t.Errorf("what ten windows yield is waited for %s", got)
	}
	if got := use(1000, 0); got != time.Second {
		t.Errorf("a second's worth more: %s, want 1 s", got)
	}
	if got := use(0, 500*time.Millisecond); got != 500*time.Millisecond {
		t.Errorf("half a second later: %s", got)
	}
	if got := use(0, time.Second); got != time.Second { // a window is over, and one fewer is missing
		t.Errorf("a second later: %s", got)
	}
	if got := use(11_000, 30*time.Second); got != time.Second {
		t.Errorf("when all was forgotten: %s", got)
	}
	c.GiveBack(Produce, "u", "c", 11_000, start.Add(30*time.Second))
	if got := use(10_000, 30*time.Second); got != 0 {
		t.Errorf("after all was given back: %s", got)
	}
	if most, bounded := c.Most(Produce, "u", "c"); !bounded || most != 10_000 {
		t.Errorf("at most %v at once, %v", most, bounded)
	}
	if got := c.Use(Produce, "v", "c", 1e9, start); got != 0 {
		t.Errorf("another user waits %s", got)
	}
}

// TestRequestWaitsAreShort: for a share of time nobody waits longer than a window.
func TestRequestWaitsAreShort(t *testing.T) {
	c := New(elevenSeconds)
	c.SetLimits(limits(t, Request, map[string]float64{"* -": 1}))
	if got := c.Use(Request, "u", "c", 1e6, start); got != time.Second {
		t.Errorf("waits %s", got)
	}
}

// TestMutations: partitions are paid for by a bucket that fills. Who is told to wait
// strictly gets nothing before, and is told how long; others get theirs and wait after.
func TestMutations(t *testing.T) {
	c := New(elevenSeconds)
	c.SetLimits(limits(t, ControllerMutation, map[string]float64{"u -": 2}))
	ask := func(partitions int, strict bool, after time.Duration) string {
		throttle, refused := c.Mutate("u", "c", partitions, strict, start.Add(after))
		return fmt.Sprintf("%s %v", throttle, refused)
	}
	for _, step := range []struct {
		partitions int
		strict     bool
		after      time.Duration
		want       string
	}{
		{20, true, 0, "0s false"}, // of 22 in the bucket
		{6, true, 0, "0s false"},  // overdrawn by 4
		{1, true, 0, "2s true"},
		{1, true, time.Second, "1s true"},
		{1, true, 2 * time.Second, "0s false"},
		{1, false, 2 * time.Second, "1s false"},
		{3, false, 2 * time.Second, "2.5s false"},
		{30, true, time.Minute, "0s false"}, // full again, and no fuller
		{1, true, time.Minute, "4s true"},
	} {
		if got := ask(step.partitions, step.strict, step.after); got != step.want {
			t.Errorf("%+v: %s", step, got)
		}
	}
	c.Unmutate("u", "c", 30, start.Add(time.Minute))
	if got := ask(1, true, time.Minute); got != "0s false" {
		t.Errorf("after all was given back: %s", got)
	}
}

// TestConnections: what is refused does not count, so who keeps trying gets its share.
func TestConnections(t *testing.T) {
	limit, other := 1.0, 5.0
	img, _, err := metadata.Empty().Apply([]metadata.Record{
		&metadata.QuotaSet{Entity: metadata.QuotaEntity{IP: metadata.DefaultQuota()}, Key: ConnectionRate.Key(), Value: &limit},
		&metadata.QuotaSet{Entity: metadata.QuotaEntity{IP: metadata.NamedQuota("10.0.0.1")}, Key: ConnectionRate.Key(), Value: &other},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := New(elevenSeconds)
	c.SetLimits(NewLimits(img))
	taken := map[string]int{}
	for ms := 0; ms < 60_000; ms += 10 {
		for _, ip := range []string{"10.0.0.1", "10.0.0.2"} {
			closeAfter := c.Connect(ip, start.Add(time.Duration(ms)*time.Millisecond))
			if closeAfter == 0 {
				taken[ip]++
			}
			if closeAfter > time.Second {
				t.Fatalf("held for %s", closeAfter)
			}
		}
	}
	for ip, least := range map[string]int{"10.0.0.1": 300, "10.0.0.2": 60} {
		if got := taken[ip]; got < least*8/10 || got > least*13/10 {
			t.Errorf("%s: %d connections in a minute, want about %d", ip, got, least)
		}
	}
}

// TestForgets: however many client ids there are, those that are idle are forgotten, and
// it makes no difference to them.
func TestForgets(t *testing.T) {
	c := New(elevenSeconds)
	c.SetLimits(limits(t, Produce, map[string]float64{"- *": 1000}))
	for n := range 100_000 {
		c.Use(Produce, "u", fmt.Sprint("client-", n), 1, start.Add(time.Duration(n)*10*time.Millisecond))
	}
	if len(c.uses) > 4*firstSweep {
		t.Errorf("%d clients are known, of which at most 1,100 used anything of late", len(c.uses))
	}
	c.SetLimits(nil)
	if len(c.uses) != 0 || c.Bound() {
		t.Error("without quotas anything is known")
	}
}

// TestStates: what a holder uses and waits is told under its name.
func TestStates(t *testing.T) {
	c := New(elevenSeconds)
	c.SetLimits(limits(t, Fetch, map[string]float64{"u -": 100}))
	c.Use(Fetch, "u", "c", 2000, start)
	all := c.States(start)
	if len(all) != 1 || all[0].Who != (Holder{User: "u"}) || all[0].PerSecond != 200 || all[0].Throttle != 10*time.Second {
		t.Errorf("%+v", all)
	}
}

// BenchmarkUnbounded is what a request costs where there are no quotas.
func BenchmarkUnbounded(b *testing.B) {
	c := New(elevenSeconds)
	for b.Loop() {
		if c.Bound() {
			b.Fatal("bound")
		}
	}
}

// BenchmarkUse is what it costs where there are.
func BenchmarkUse(b *testing.B) {
	c := New(elevenSeconds)
	c.SetLimits(limits(b, Produce, map[string]float64{"- *": 1e9}))
	now := start
	for b.Loop() {
		now = now.Add(time.Millisecond)
		c.Use(Produce, "alice", "client-1", 1000, now)
	}
}

// TestPace: who waits as long as he is told goes at the pace.
func TestPace(t *testing.T) {
	p := NewPace(elevenSeconds, 50)
	now, taken := start, 0
	for now.Sub(start) < time.Minute {
		now = now.Add(p.Take(now)).Add(time.Millisecond)
		taken++
	}
	if taken < 2400 || taken > 4200 {
		t.Errorf("%d in a minute at 50 a second", taken)
	}
}
