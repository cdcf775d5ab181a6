package controller

import (
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
)

// alteration is what a request asks for one resource.
type alteration struct {
	resource metadata.Resource
	replace  bool // keys that are not named go back to their defaults
	keys     []keyChange
}

type keyChange struct {
	name  string
	op    kmsg.IncrementalAlterConfigOp
	value *string
}

// AlterConfigs replaces all configs of each resource by those of the request.
func (*Controller) AlterConfigs(img *metadata.Image, req *kmsg.AlterConfigsRequest, in Inputs) ([]metadata.Record, *kmsg.AlterConfigsResponse) {
	wanted := make([]alteration, len(req.Resources))
	for i, r := range req.Resources {
		wanted[i] = alteration{resource: metadata.Resource{Type: r.ResourceType, Name: r.ResourceName}, replace: true}
		for _, c := range r.Configs {
			wanted[i].keys = append(wanted[i].keys, keyChange{c.Name, kmsg.IncrementalAlterConfigOpSet, c.Value})
		}
	}
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	records := alterAll(img, wanted, in, func(r metadata.Resource, err error) {
		told := kmsg.NewAlterConfigsResponseResource()
		told.ResourceType, told.ResourceName = r.Type, r.Name
		told.ErrorCode, told.ErrorMessage = answer(err)
		resp.Resources = append(resp.Resources, told)
	})
	if req.ValidateOnly {
		return nil, resp
	}
	return records, resp
}

// IncrementalAlterConfigs sets, deletes, or for lists extends and shortens
// single configs of each resource (KIP-339). Either all changes of a resource
// are made or none.
func (*Controller) IncrementalAlterConfigs(img *metadata.Image, req *kmsg.IncrementalAlterConfigsRequest, in Inputs) ([]metadata.Record, *kmsg.IncrementalAlterConfigsResponse) {
	wanted := make([]alteration, len(req.Resources))
	for i, r := range req.Resources {
		wanted[i].resource = metadata.Resource{Type: r.ResourceType, Name: r.ResourceName}
		for _, c := range r.Configs {
			wanted[i].keys = append(wanted[i].keys, keyChange{c.Name, c.Op, c.Value})
		}
	}
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	records := alterAll(img, wanted, in, func(r metadata.Resource, err error) {
		told := kmsg.NewIncrementalAlterConfigsResponseResource()
		told.ResourceType, told.ResourceName = r.Type, r.Name
		told.ErrorCode, told.ErrorMessage = answer(err)
		resp.Resources = append(resp.Resources, told)
	})
	if req.ValidateOnly {
		return nil, resp
	}
	return records, resp
}

// alterAll decides resource by resource, and tells of each in turn.
func alterAll(img *metadata.Image, wanted []alteration, in Inputs, tell func(metadata.Resource, error)) []metadata.Record {
	times := map[metadata.Resource]int{}
	for _, a := range wanted {
		times[a.resource]++
	}
	var records []metadata.Record
	altered := map[metadata.Resource]map[string]string{}
	for _, a := range wanted {
		before := img.Config(a.resource)
		after, err := a.decide(img, times[a.resource], in)
		if err == nil {
			changed := configRecords(a.resource, before, after)
			if len(records)+len(changed) > maxRecords {
				err = errTooMany
			} else {
				records = append(records, changed...)
				altered[a.resource] = after
			}
		}
		tell(a.resource, err)
	}
	records = append(records, cordonAlone(img, in, altered)...)
	return append(records, followRules(img, in, altered)...)
}

// decide returns all configs that the resource has afterwards.
func (a *alteration) decide(img *metadata.Image, times int, in Inputs) (map[string]string, error) {
	if times > 1 {
		return nil, refuse(kerr.InvalidRequest, "Each resource must appear at most once.")
	}
	if err := a.wellFormed(); err != nil {
		return nil, err
	}
	switch a.resource.Type {
	case kmsg.ConfigResourceTypeTopic:
		return a.decideTopic(img, in)
	case kmsg.ConfigResourceTypeBroker:
		return a.decideBroker(img, in)
	case kmsg.ConfigResourceTypeGroupConfig:
		return a.decideGroup(img, in)
	}
	return nil, refuse(kerr.InvalidRequest, "Unknown resource type %d", int8(a.resource.Type))
}

// wellFormed checks what can be told without knowing any config.
func (a *alteration) wellFormed() error {
	seen := map[string]bool{}
	var null []string
	for _, k := range a.keys {
		switch {
		case seen[k.name]:
			return refuse(kerr.InvalidRequest, "Error due to duplicate config keys")
		case k.op < kmsg.IncrementalAlterConfigOpSet || k.op > kmsg.IncrementalAlterConfigOpSubtract:
			return refuse(kerr.InvalidRequest, "Unknown operations type %d", int8(k.op))
		case k.value == nil && k.op != kmsg.IncrementalAlterConfigOpDelete:
			null = append(null, k.name)
		}
		seen[k.name] = true
	}
	if len(null) > 0 {
		return refuse(kerr.InvalidRequest, "Null value not supported for : %s", strings.Join(null, ", "))
	}
	return nil
}

func (a *alteration) decideTopic(img *metadata.Image, in Inputs) (map[string]string, error) {
	after, err := a.change(img, func() []config.Entry { return in.Config.DescribeTopic(nil, nil, nil) }, func(k keyChange) error {
		return refuse(kerr.InvalidConfig, "Can't %s to key %s because its type is not LIST.", verb(k.op), k.name)
	})
	if err != nil {
		return nil, err
	}
	name := a.resource.Name
	if name == "" {
		return nil, refuse(kerr.InvalidRequest, "Default topic resources are not allowed.")
	}
	if err := ValidateTopicName(name); err != nil {
		return nil, err
	}
	if err := config.ValidateTopic(after); err != nil {
		return nil, err
	}
	if _, found := img.Topic(name); !found {
		return nil, refuse(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", name)
	}
	return after, nil
}

// decideGroup serves the configs of a group, whether or not there is one.
func (a *alteration) decideGroup(img *metadata.Image, in Inputs) (map[string]string, error) {
	if a.resource.Name == "" {
		return nil, refuse(kerr.InvalidRequest, "Default group resources are not allowed.")
	}
	after, err := a.change(img, func() []config.Entry { return in.Config.DescribeGroup(nil, nil) }, func(k keyChange) error {
		return refuse(kerr.InvalidConfig, "Can't %s to key %s because its type is not LIST.", verb(k.op), k.name)
	})
	if err != nil {
		return nil, err
	}
	return after, in.Config.ValidateGroup(after)
}

func verb(op kmsg.IncrementalAlterConfigOp) string {
	if op == kmsg.IncrementalAlterConfigOpAppend {
		return "APPEND"
	}
	return "SUBTRACT"
}

// decideBroker decides on the configs of one broker, which that broker asks for, and
// with the empty name on those of all brokers.
func (a *alteration) decideBroker(img *metadata.Image, in Inputs) (map[string]string, error) {
	name := a.resource.Name
	if name != "" {
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			return nil, refuse(kerr.InvalidRequest, "Node id must be an integer, but it is: %s", name)
		}
		if _, registered := img.Broker(int32(id)); !registered && int32(id) != in.Config.NodeID {
			return nil, refuse(kerr.InvalidRequest, "Unexpected broker id, expected %d, but received %s", in.Config.NodeID, name)
		}
	}
	after, err := a.change(img, func() []config.Entry { return in.Config.DescribeBroker(nil, nil) }, func(k keyChange) error {
		return refuse(kerr.InvalidConfig, "Config value %s is not allowed for config key: %s", strings.ToLower(verb(k.op)), k.name)
	})
	if err != nil {
		return nil, err
	}
	if set, is := after[minISRKey]; name != "" && is && set != img.Config(a.resource)[minISRKey] {
		return nil, refuse(kerr.InvalidConfig, "Broker-level %s cannot be altered while ELR is enabled.", minISRKey)
	}
	if fixed := config.OfOneBroker(after); name == "" && len(fixed) > 0 {
		return nil, refuse(kerr.InvalidRequest, "Cannot update these configs at default cluster level, broker id must be specified: [%s]", strings.Join(fixed, ", "))
	}
	return after, config.ValidateDynamicBroker(after)
}

// minISRKey must not differ from broker to broker: who may lead (KIP-966) depends on
// how many replicas the last leader needed.
const minISRKey = "min.insync.replicas"
