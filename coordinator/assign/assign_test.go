package assign

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/protocol"
)

func topic(n int) protocol.TopicID { return protocol.TopicID{15: byte(n)} }

// group reads lines like "a@instance 1,2 owns 1:0,1:1".
func group(t *testing.T, text string) (members []Member) {
	for line := range strings.Lines(strings.TrimSpace(text)) {
		words := strings.Fields(line)
		m := Member{Owned: Partitions{}}
		m.ID, m.InstanceID, _ = strings.Cut(words[0], "@")
		for _, one := range strings.Split(words[1], ",") {
			m.Topics = append(m.Topics, topic(int(one[0]-'0')))
		}
		if len(words) > 3 {
			for _, one := range strings.Split(words[3], ",") {
				var n, p int
				if _, err := fmt.Sscanf(one, "%d:%d", &n, &p); err != nil {
					t.Fatal(err)
				}
				m.Owned.Add(topic(n), int32(p))
			}
		}
		members = append(members, m)
	}
	return members
}

func printed(given map[string]Partitions) string {
	var lines []string
	for id, mine := range given {
		var parts []string
		for t, list := range mine {
			for _, p := range list {
				parts = append(parts, fmt.Sprintf("%d:%d", t[15], p))
			}
		}
		slices.Sort(parts)
		lines = append(lines, id+" "+strings.Join(parts, ","))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestTables holds small groups.
func TestTables(t *testing.T) {
	topics := Topics{topic(1): 4, topic(2): 3}
	for _, c := range []struct{ name, assignor, group, want string }{
		{"range divides each topic", "range", "a 1,2\nb 1,2\nc 1,2", "a 1:0,1:1,2:0\nb 1:2,2:1\nc 1:3,2:2"},
		{"range, static members first", "range", "a 1\nb@z 1\nc@y 1", "a 1:3\nb 1:2\nc 1:0,1:1"},
		{"range, different topics", "range", "a 1\nb 1,2\nc 2", "a 1:0,1:1\nb 1:2,1:3,2:0,2:1\nc 2:2"},
		{"range does not stick", "range", "a 1 owns 1:3\nb 1 owns 1:0", "a 1:0,1:1\nb 1:2,1:3"},
		{"range, more members than partitions", "range", "a 2\nb 2\nc 2\nd 2", "a 2:0\nb 2:1\nc 2:2\nd "},
		{"uniform, all new", "uniform", "a 1,2\nb 1,2", "a 1:0,1:1,1:2\nb 1:3,2:0,2:1,2:2"},
		{"uniform, one comes", "uniform", "a 1 owns 1:0,1:1,1:2,1:3\nb 1", "a 1:0,1:1\nb 1:2,1:3"},
		{"uniform, one left", "uniform", "a 1 owns 1:0\nb 1 owns 1:2", "a 1:0,1:1\nb 1:2,1:3"},
		{"uniform, a topic less", "uniform", "a 1 owns 1:0,2:0,2:1\nb 1 owns 1:1,2:2", "a 1:0,1:2\nb 1:1,1:3"},
		{"uniform, a topic that shrank", "uniform", "a 1 owns 1:8,1:0\nb 1", "a 1:0,1:1\nb 1:2,1:3"},
		{"uniform, the same partition twice", "uniform", "a 1 owns 1:0\nb 1 owns 1:0", "a 1:0,1:1\nb 1:2,1:3"},
		{"uniform, the extra one stays", "uniform", "a 2 owns 2:0\nb 2 owns 2:1,2:2", "a 2:0\nb 2:1,2:2"},
		{"uniform, different topics", "uniform", "a 1\nb 1,2\nc 2", "a 1:0,1:2\nb 1:1,1:3,2:2\nc 2:0,2:1"},
		{"uniform, only one subscribes", "uniform", "a 1\nb 2", "a 1:0,1:1,1:2,1:3\nb 2:0,2:1,2:2"},
	} {
		_, assignor, _ := Named(c.assignor)
		if got := printed(assignor(group(t, c.group), topics)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// TestNames holds what group.consumer.assignors takes.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"uniform": "uniform", "RANGE": "range", "sticky": "", "": "",
		"org.apache.kafka.coordinator.group.assignor.RangeAssignor":   "range",
		"org.apache.kafka.coordinator.group.assignor.UniformAssignor": "uniform",
	} {
		got, _, found := Named(name)
		if got != want || found != (want != "") {
			t.Errorf("%q is %q, %v", name, got, found)
		}
	}
}

// drawn is any group: topics, members, and something that they may have now, right
// or wrong.
func drawn(t *rapid.T) ([]Member, Topics) {
	topics := Topics{}
	var ids []protocol.TopicID
	for n := range rapid.IntRange(0, 4).Draw(t, "topics") {
		topics[topic(n)] = rapid.IntRange(1, 9).Draw(t, "partitions")
		ids = append(ids, topic(n))
	}
	sameForAll := rapid.Bool().Draw(t, "alike")
	members := make([]Member, rapid.IntRange(1, 6).Draw(t, "members"))
	for i := range members {
		m := Member{ID: fmt.Sprint("m", i), Owned: Partitions{}}
		for _, id := range ids {
			if sameForAll || rapid.Bool().Draw(t, "subscribes") {
				m.Topics = append(m.Topics, id)
			}
			for p := range rapid.IntRange(0, 10).Draw(t, "owns") {
				if rapid.Bool().Draw(t, "this") {
					m.Owned.Add(id, int32(p))
				}
			}
		}
		members[i] = m
	}
	return members, topics
}

// once reports who is given what nobody should, or what nobody is given.
func once(members []Member, topics Topics, given map[string]Partitions) string {
	holders := map[partition]string{}
	for _, m := range members {
		for id, list := range given[m.ID] {
			if !slices.Contains(m.Topics, id) {
				return fmt.Sprintf("%s does not subscribe to topic %d", m.ID, id[15])
			}
			if len(list) == 0 || !slices.IsSorted(list) || int(list[len(list)-1]) >= topics[id] {
				return fmt.Sprintf("%s is given %v of topic %d", m.ID, list, id[15])
			}
			for _, p := range list {
				if other := holders[partition{id, p}]; other != "" {
					return fmt.Sprintf("%s and %s are both given %d:%d", m.ID, other, id[15], p)
				}
				holders[partition{id, p}] = m.ID
			}
		}
	}
	for _, m := range members {
		for _, id := range m.Topics {
			for p := range int32(topics[id]) {
				if holders[partition{id, p}] == "" {
					return fmt.Sprintf("nobody is given %d:%d", id[15], p)
				}
			}
		}
	}
	return ""
}

func owning(members []Member, given map[string]Partitions) []Member {
	after := slices.Clone(members)
	for i := range after {
		after[i].Owned = given[after[i].ID]
	}
	return after
}

// TestOnce: whatever the members have, each partition goes to one subscriber, and
// what they have is left alone.
func TestOnce(t *testing.T) {
	for name, assignor := range map[string]Assignor{"uniform": Uniform, "range": Range} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				members, topics := drawn(t)
				before := fmt.Sprint(members)
				if problem := once(members, topics, assignor(members, topics)); problem != "" {
					t.Fatal(problem)
				}
				if after := fmt.Sprint(members); after != before {
					t.Fatalf("the members were %s, and are %s", before, after)
				}
			})
		})
	}
}

// TestBalance: the same for all is spread evenly; otherwise no partition can go
// from one to another that has two less.
func TestBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, topics := drawn(t)
		given := Uniform(members, topics)
		for _, from := range members {
			for id := range given[from.ID] {
				for _, to := range members {
					if slices.Contains(to.Topics, id) && given[from.ID].Count()-given[to.ID].Count() > 1 {
						t.Fatalf("%s could give one to %s:\n%s", from.ID, to.ID, printed(given))
					}
				}
			}
		}
	})
}

// TestStickiness: where nothing changes nothing moves; when one joins a group that
// subscribes alike, nothing moves but to it; when one leaves, nothing but its own.
func TestStickiness(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, topics := drawn(t)
		members = owning(members, Uniform(members, topics))
		if again := Uniform(members, topics); printed(again) != printed(ownedBy(members)) {
			t.Fatalf("without a change\n%s\nbecame\n%s", printed(ownedBy(members)), printed(again))
		}
		if !alike(members) {
			return
		}
		newcomer := Member{ID: "n", Topics: members[0].Topics, Owned: Partitions{}}
		for id, after := range Uniform(append(slices.Clone(members), newcomer), topics) {
			if id != "n" && !within(after, ownedBy(members)[id]) {
				t.Fatalf("when one joined, %s got what others had", id)
			}
		}
		if len(members) > 1 {
			for id, after := range Uniform(members[1:], topics) {
				if !within(ownedBy(members)[id], after) {
					t.Fatalf("when one left, %s lost something", id)
				}
			}
		}
	})
}

func ownedBy(members []Member) map[string]Partitions {
	owned := map[string]Partitions{}
	for _, m := range members {
		owned[m.ID] = m.Owned
	}
	return owned
}

// within reports whether all of part is in whole.
func within(part, whole Partitions) bool {
	for id, list := range part {
		for _, p := range list {
			if !slices.Contains(whole[id], p) {
				return false
			}
		}
	}
	return true
}
