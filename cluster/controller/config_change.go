package controller

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
)

// change applies the changes to what is set now. defaults says what a list that
// is not set has in it; notList refuses a key that is no list.
func (a *alteration) change(img *metadata.Image, defaults func() []config.Entry, notList func(keyChange) error) (map[string]string, error) {
	after := map[string]string{}
	if !a.replace {
		maps.Copy(after, img.Config(a.resource))
	}
	for _, k := range a.keys {
		switch k.op {
		case kmsg.IncrementalAlterConfigOpSet:
			after[k.name] = *k.value
		case kmsg.IncrementalAlterConfigOpDelete:
			delete(after, k.name)
		default:
			if !config.IsList(k.name) {
				return nil, notList(k)
			}
			now, set := after[k.name]
			if !set {
				now = valueOf(defaults(), k.name)
			}
			after[k.name] = changeList(now, k)
		}
	}
	return after, nil
}

func valueOf(entries []config.Entry, name string) string {
	for _, e := range entries {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// changeList appends what a list does not have, or takes out what it has.
func changeList(list string, k keyChange) string {
	items := slices.DeleteFunc(strings.Split(list, ","), func(s string) bool { return s == "" })
	for _, item := range strings.Split(*k.value, ",") {
		at := slices.Index(items, item)
		switch {
		case k.op == kmsg.IncrementalAlterConfigOpAppend && at < 0:
			items = append(items, item)
		case k.op == kmsg.IncrementalAlterConfigOpSubtract && at >= 0:
			items = slices.Delete(items, at, at+1)
		}
	}
	return strings.Join(items, ",")
}

// configRecords leads from one set of configs to another, in the keys' order.
func configRecords(r metadata.Resource, before, after map[string]string) []metadata.Record {
	var records []metadata.Record
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, stays := after[name]; !stays {
			records = append(records, &metadata.ConfigSet{Resource: r, Name: name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		value := after[name]
		if was, set := before[name]; !set || was != value {
			records = append(records, &metadata.ConfigSet{Resource: r, Name: name, Value: &value})
		}
	}
	return records
}
