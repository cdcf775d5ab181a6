package health

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/klamm-io/klamm/internal/quantity"
)

// Disks with less free than this are told of.
const (
	fillingPercent = 15
	fullPercent    = 5
)

func fencedBrokers(f *Facts) (problems []Problem) {
	for _, b := range f.Brokers {
		if !b.Fenced {
			continue
		}
		held, names := f.those(func(p *Partition) bool { return slices.Contains(p.Replicas, b.ID) })
		problem := Problem{
			Severity: Bad, Kind: "broker_fenced", Where: orNone(names),
			What: fmt.Sprintf("broker %d at %s:%d is fenced: the controller does not hear from it, and its %s out of use",
				b.ID, b.Host, b.Port, quantity.Counted(int64(len(held)), "replica is", "replicas are")),
			Do: fmt.Sprintf("start it, or look into its log for why it cannot reach the controller. If it will not come back, move its replicas: `klamm broker decommission %d`", b.ID),
		}
		if len(held) == 0 {
			problem.Severity = Warning
			problem.What = fmt.Sprintf("broker %d at %s:%d is fenced: the controller does not hear from it. It holds no replica", b.ID, b.Host, b.Port)
			problem.Do = fmt.Sprintf("start it, or if it is gone for good, `klamm broker unregister %d`", b.ID)
		}
		problems = append(problems, problem)
	}
	return problems
}

// missingBrokers are those that replicas are on and that are not registered.
func missingBrokers(f *Facts) (problems []Problem) {
	where := map[int32][]string{}
	for i := range f.Partitions {
		for _, id := range f.Partitions[i].Replicas {
			if f.Broker(id) == nil {
				where[id] = append(where[id], f.Partitions[i].String())
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(where)) {
		state := "is not in the cluster"
		if !f.FencedKnown {
			state = "is down, or not in the cluster"
		}
		problems = append(problems, Problem{
			Severity: Bad, Kind: "broker_missing", Where: where[id],
			What: fmt.Sprintf("broker %d %s, and %s on it", id, state, quantity.Counted(int64(len(where[id])), "replica is", "replicas are")),
			Do:   fmt.Sprintf("start it. If it will not come back, move its replicas: `klamm broker decommission %d`", id),
		})
	}
	return problems
}

func silentBrokers(f *Facts) (problems []Problem) {
	for _, b := range f.Brokers {
		if b.Silent == "" || b.Fenced {
			continue
		}
		heard := ""
		if f.Quorum != nil && f.Quorum.Leader >= 0 {
			heard = ", although the controller hears from it"
		}
		problems = append(problems, Problem{
			Severity: Bad, Kind: "broker_silent", Where: []string{},
			What: fmt.Sprintf("broker %d does not answer at %s:%d%s: %s", b.ID, b.Host, b.Port, heard, b.Silent),
			Do:   "see whether it runs, and whether clients reach that address, which is its advertised.listeners; one that hangs has to be restarted",
		})
	}
	return problems
}

func failedDirs(f *Facts) []Problem {
	var where []string
	why := ""
	for _, b := range f.Brokers {
		for _, d := range b.Dirs {
			if d.Failed != "" {
				where, why = append(where, fmt.Sprintf("broker %d %s", b.ID, d.Path)), d.Failed
			}
		}
	}
	if where == nil {
		return nil
	}
	return []Problem{{
		Severity: Bad, Kind: "log_dir_failed", Where: where,
		What: fmt.Sprintf("%s of logs cannot be used: %s", quantity.Counted(int64(len(where)), "folder", "folders"), why),
		Do:   "look into the broker's log and at the disk, repair or replace it, and restart the broker: it copies what it lost from the other replicas",
	}}
}

func fullDisks(f *Facts) []Problem {
	var full, filling []string
	for _, b := range f.Brokers {
		for _, d := range b.Dirs {
			if d.Failed != "" || d.Total <= 0 || d.Usable < 0 {
				continue
			}
			percent := math.Floor(float64(d.Usable) / float64(d.Total) * 100)
			text := fmt.Sprintf("broker %d %s (%.0f %%, %s)", b.ID, d.Path, percent, quantity.Bytes(float64(d.Usable)))
			switch {
			case percent < fullPercent:
				full = append(full, text)
			case percent < fillingPercent:
				filling = append(filling, text)
			}
		}
	}
	return slices.Concat(
		diskProblem(Bad, "disk_full", fullPercent, full),
		diskProblem(Warning, "disk_filling", fillingPercent, filling))
}

func diskProblem(severity Severity, kind string, percent int, where []string) []Problem {
	if where == nil {
		return nil
	}
	return []Problem{{
		Severity: severity, Kind: kind, Where: where,
		What: fmt.Sprintf("%s with less than %d %% free; a broker whose disk is full stops writing", quantity.Counted(int64(len(where)), "disk", "disks"), percent),
		Do:   "let topics keep less (retention.ms, retention.bytes), move partitions to other brokers with `klamm partition move`, or enlarge the disk",
	}}
}

// orNone makes a list that JSON shows as [] and not as null.
func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
