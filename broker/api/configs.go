package api

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// describeConfigs answers DescribeConfigs (32), versions 1 to 4:
//
//	1  synonyms, sources (KIP-226)    3  types and documentation (KIP-569)    4  flexible
func (h *Handler) describeConfigs(r *listener.Request, req *kmsg.DescribeConfigsRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for i := range req.Resources {
		asked := &req.Resources[i]
		told := kmsg.NewDescribeConfigsResponseResource()
		told.ResourceType, told.ResourceName = asked.ResourceType, asked.ResourceName
		entries, err := h.configEntries(r, asked)
		told.ErrorCode, told.ErrorMessage = errorCode(err), describeMessage(err)
		for _, e := range entries {
			if len(asked.ConfigNames) == 0 || slices.Contains(asked.ConfigNames, e.Name) {
				told.Configs = append(told.Configs, describeEntry(e, req))
			}
		}
		resp.Resources = append(resp.Resources, told)
	}
	r.ReplyMsg(resp)
}

// describeMessage is never null, as Kafka's is not; an unknown topic needs no words.
func describeMessage(err error) *string {
	if err == nil || errors.Is(err, kerr.UnknownTopicOrPartition) {
		return addressOf("")
	}
	return protocol.ErrorMessage(err)
}

func (h *Handler) configEntries(r *listener.Request, asked *kmsg.DescribeConfigsRequestResource) ([]config.Entry, error) {
	img := h.image()
	switch name := asked.ResourceName; asked.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if !h.allowed(r, security.DescribeConfigs, topicResource(name)) {
			return nil, kerr.TopicAuthorizationFailed
		}
		if err := controller.ValidateTopicName(name); err != nil {
			return nil, err
		}
		if _, found := img.Topic(name); !found {
			return nil, kerr.UnknownTopicOrPartition
		}
		return h.config.DescribeTopic(img.Config(metadata.BrokerResource("")), img.Config(metadata.BrokerResource(strconv.Itoa(int(h.config.NodeID)))),
			img.Config(metadata.TopicResource(name))), nil
	case kmsg.ConfigResourceTypeBroker:
		if !h.allowed(r, security.DescribeConfigs, security.ClusterResource) {
			return nil, kerr.ClusterAuthorizationFailed
		}
		return h.brokerEntries(img, name)
	case kmsg.ConfigResourceTypeBrokerLogger, clientMetricsConfigs: // of which there are none
		if !h.allowed(r, security.DescribeConfigs, security.ClusterResource) {
			return nil, kerr.ClusterAuthorizationFailed
		}
	case kmsg.ConfigResourceTypeGroupConfig:
		switch {
		case !h.allowed(r, security.DescribeConfigs, groupResource(name)):
			return nil, kerr.GroupAuthorizationFailed
		case name == "":
			return nil, fmt.Errorf("Group name must not be empty: %w", kerr.InvalidRequest)
		}
		return h.config.DescribeGroup(img.Config(metadata.BrokerResource("")), img.Config(metadata.GroupResource(name))), nil
	}
	return nil, kerr.InvalidRequest
}

// brokerEntries describes this broker, or with an empty name what was set at run
// time for all.
func (h *Handler) brokerEntries(img *metadata.Image, name string) ([]config.Entry, error) {
	everyBroker := img.Config(metadata.BrokerResource(""))
	if name == "" {
		return h.config.DescribeClusterDefault(everyBroker), nil
	}
	if _, err := strconv.ParseInt(name, 10, 32); err != nil {
		return nil, fmt.Errorf("Broker id must be an integer, but it is: %s: %w", name, kerr.InvalidRequest)
	}
	if name != strconv.Itoa(int(h.config.NodeID)) {
		return nil, fmt.Errorf("Unexpected broker id, expected %d or empty string, but received %s: %w", h.config.NodeID, name, kerr.InvalidRequest)
	}
	return h.config.DescribeBroker(everyBroker, img.Config(metadata.BrokerResource(name))), nil
}

func describeEntry(e config.Entry, req *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	told := kmsg.NewDescribeConfigsResponseResourceConfig()
	told.Name, told.ReadOnly, told.IsSensitive = e.Name, e.ReadOnly, e.Sensitive
	if !e.Null && !e.Sensitive {
		told.Value = &e.Value
	}
	told.Source, told.ConfigType = kmsg.ConfigSource(e.Source), kmsg.ConfigType(e.Type)
	if req.IncludeDocumentation {
		told.Documentation = &e.Doc
	}
	if !req.IncludeSynonyms {
		return told
	}
	for _, s := range e.Synonyms {
		synonym := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
		synonym.Name, synonym.Source = s.Name, kmsg.ConfigSource(s.Source)
		if !s.Null {
			synonym.Value = addressOf(s.Value)
		}
		told.ConfigSynonyms = append(told.ConfigSynonyms, synonym)
	}
	return told
}

// mayAlterConfigs reports why the client may not change a resource's configs.
func (h *Handler) mayAlterConfigs(r *listener.Request, kind kmsg.ConfigResourceType, name string) error {
	switch {
	case kind == kmsg.ConfigResourceTypeTopic && !h.allowed(r, security.AlterConfigs, topicResource(name)):
		return kerr.TopicAuthorizationFailed
	case kind == kmsg.ConfigResourceTypeGroupConfig && !h.allowed(r, security.AlterConfigs, groupResource(name)):
		return kerr.GroupAuthorizationFailed
	case kind != kmsg.ConfigResourceTypeTopic && kind != kmsg.ConfigResourceTypeGroupConfig && !h.allowed(r, security.AlterConfigs, security.ClusterResource):
		return kerr.ClusterAuthorizationFailed
	}
	return nil
}

// checkOwnConfigs refuses what only this broker can know to be wrong of its configs:
// the controllers do not know where its folders are. set is what one of them sets.
func checkOwnConfigs[C any](h *Handler, kind kmsg.ConfigResourceType, name string, configs []C, set func(*C) (key string, value *string)) error {
	if kind != kmsg.ConfigResourceTypeBroker || name != strconv.Itoa(int(h.config.NodeID)) {
		return nil
	}
	for i := range configs {
		key, value := set(&configs[i])
		if key != "cordoned.log.dirs" || value == nil {
			continue
		}
		if err := h.config.CheckCordoned(*value); err != nil {
			return fmt.Errorf("%w: %w", err, kerr.InvalidRequest)
		}
	}
	return nil
}

// alterConfigs answers AlterConfigs (33), versions 0 to 2, which replaces all
// that is set for a resource:
//
//	2  flexible
func (h *Handler) alterConfigs(r *listener.Request, req *kmsg.AlterConfigsRequest) {
	refusal := func(asked *kmsg.AlterConfigsRequestResource, err error) kmsg.AlterConfigsResponseResource {
		told := kmsg.NewAlterConfigsResponseResource()
		told.ErrorCode, told.ErrorMessage, told.ResourceType, told.ResourceName = errorCode(err), protocol.ErrorMessage(err), asked.ResourceType, asked.ResourceName
		return told
	}
	may := func(asked *kmsg.AlterConfigsRequestResource) error {
		if err := h.mayAlterConfigs(r, asked.ResourceType, asked.ResourceName); err != nil {
			return err
		}
		return checkOwnConfigs(h, asked.ResourceType, asked.ResourceName, asked.Configs, func(c *kmsg.AlterConfigsRequestResourceConfig) (string, *string) { return c.Name, c.Value })
	}
	var refused []kmsg.AlterConfigsResponseResource
	req.Resources, refused = permit(req.Resources, may, refusal)
	resp, err := decide(h, req, func(img *metadata.Image) ([]metadata.Record, *kmsg.AlterConfigsResponse) {
		return h.controller.AlterConfigs(img, req, h.inputs())
	})
	if err != nil {
		resp = req.ResponseKind().(*kmsg.AlterConfigsResponse)
		resp.Resources = refuseAll(req.Resources, err, refusal)
	}
	resp.Resources = append(resp.Resources, refused...)
	r.ReplyMsg(resp)
}

// incrementalAlterConfigs answers IncrementalAlterConfigs (44), versions 0 and 1
// (KIP-339):
//
//	1  flexible
func (h *Handler) incrementalAlterConfigs(r *listener.Request, req *kmsg.IncrementalAlterConfigsRequest) {
	refusal := func(asked *kmsg.IncrementalAlterConfigsRequestResource, err error) kmsg.IncrementalAlterConfigsResponseResource {
		told := kmsg.NewIncrementalAlterConfigsResponseResource()
		told.ErrorCode, told.ResourceType, told.ResourceName = errorCode(err), asked.ResourceType, asked.ResourceName
		if asked.ResourceType != kmsg.ConfigResourceTypeBrokerLogger {
			told.ErrorMessage = protocol.ErrorMessage(err)
		}
		return told
	}
	may := func(asked *kmsg.IncrementalAlterConfigsRequestResource) error {
		if err := h.mayAlterConfigs(r, asked.ResourceType, asked.ResourceName); err != nil {
			return err
		}
		return checkOwnConfigs(h, asked.ResourceType, asked.ResourceName, asked.Configs, func(c *kmsg.IncrementalAlterConfigsRequestResourceConfig) (string, *string) { return c.Name, c.Value })
	}
	var refused []kmsg.IncrementalAlterConfigsResponseResource
	req.Resources, refused = permit(req.Resources, may, refusal)
	resp, err := decide(h, req, func(img *metadata.Image) ([]metadata.Record, *kmsg.IncrementalAlterConfigsResponse) {
		return h.controller.IncrementalAlterConfigs(img, req, h.inputs())
	})
	if err != nil {
		resp = req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
		resp.Resources = refuseAll(req.Resources, err, refusal)
	}
	resp.Resources = append(resp.Resources, refused...)
	r.ReplyMsg(resp)
}

// Types of resources as ListConfigResources numbers them.
const (
	topicConfigs         = int8(kmsg.ConfigResourceTypeTopic)
	brokerConfigs        = int8(kmsg.ConfigResourceTypeBroker)
	brokerLoggers        = int8(kmsg.ConfigResourceTypeBrokerLogger)
	clientMetricsConfigs = 16
	groupConfigs         = 32
)

// listable are the types that may be asked for; of loggers and clients' metrics there is nothing.
var listable = []int8{topicConfigs, brokerConfigs, brokerLoggers, clientMetricsConfigs, groupConfigs}

// listConfigResources answers ListConfigResources (74), versions 0 and 1
// (KIP-1142):
//
//	0  lists subscriptions to client metrics, of which there are none here
//	1  lists the types that are asked for, or all
func (h *Handler) listConfigResources(r *listener.Request, req *kmsg.ListConfigResourcesRequest) {
	resp := req.ResponseKind().(*kmsg.ListConfigResourcesResponse)
	if !h.allowed(r, security.DescribeConfigs, security.ClusterResource) {
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		r.ReplyMsg(resp)
		return
	}
	wanted := req.ResourceTypes
	if req.Version == 0 {
		wanted = []int8{clientMetricsConfigs}
	}
	if slices.ContainsFunc(wanted, func(kind int8) bool { return !slices.Contains(listable, kind) }) {
		resp.ErrorCode = kerr.UnsupportedVersion.Code
		r.ReplyMsg(resp)
		return
	}
	img := h.image()
	add := func(kind int8, name string) {
		told := kmsg.NewListConfigResourcesResponseConfigResource()
		told.Name, told.Type = name, kind
		resp.ConfigResources = append(resp.ConfigResources, told)
	}
	if len(wanted) == 0 || slices.Contains(wanted, topicConfigs) {
		for t := range img.Topics() {
			add(topicConfigs, t.Name)
		}
	}
	if len(wanted) == 0 || slices.Contains(wanted, brokerConfigs) {
		for b := range img.Brokers() {
			add(brokerConfigs, strconv.Itoa(int(b.ID)))
		}
	}
	if len(wanted) == 0 || slices.Contains(wanted, groupConfigs) {
		for r := range img.Configured(kmsg.ConfigResourceTypeGroupConfig) {
			add(groupConfigs, r.Name)
		}
	}
	r.ReplyMsg(resp)
}
