package main

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
)

// fakeAPIs are what a fake cluster serves, and Produce, without which the client
// believes of none that it is not served.
var fakeAPIs = []kmsg.Key{
	kmsg.Produce, kmsg.Metadata, kmsg.ApiVersions, kmsg.DescribeCluster, kmsg.DescribeLogDirs, kmsg.DescribeConfigs, kmsg.DescribeQuorum,
	kmsg.DescribeTopicPartitions, kmsg.AlterPartitionAssignments, kmsg.ListPartitionReassignments, kmsg.ElectLeaders,
	kmsg.UnregisterBroker, kmsg.IncrementalAlterConfigs,
}

func (c *fakeCluster) answer(id int32, req kmsg.Request) kmsg.Response {
	c.mu.Lock()
	defer c.mu.Unlock()
	if instead, found := c.answers[kmsg.Key(req.Key())]; found {
		return instead(req)
	}
	resp := req.ResponseKind()
	var records []metadata.Record
	var decides controller.Controller
	switch req := req.(type) {
	case *kmsg.ApiVersionsRequest:
		c.apiVersions(resp.(*kmsg.ApiVersionsResponse))
	case *kmsg.MetadataRequest:
		c.metadata(resp.(*kmsg.MetadataResponse))
	case *kmsg.DescribeClusterRequest:
		c.copyOn()
		c.describeCluster(resp.(*kmsg.DescribeClusterResponse))
	case *kmsg.DescribeLogDirsRequest:
		c.logDirs(id, resp.(*kmsg.DescribeLogDirsResponse))
	case *kmsg.DescribeConfigsRequest:
		c.describeConfigs(req, resp.(*kmsg.DescribeConfigsResponse))
	case *kmsg.IncrementalAlterConfigsRequest:
		c.alterConfigs(req, resp.(*kmsg.IncrementalAlterConfigsResponse))
	case *kmsg.DescribeQuorumRequest:
		resp.(*kmsg.DescribeQuorumResponse).Topics = []kmsg.DescribeQuorumResponseTopic{{
			Topic: metadataTopic, Partitions: []kmsg.DescribeQuorumResponseTopicPartition{c.quorum},
		}}
	case *kmsg.DescribeTopicPartitionsRequest:
		c.describePartitions(req, resp.(*kmsg.DescribeTopicPartitionsResponse))
	case *kmsg.ListPartitionReassignmentsRequest:
		resp = decides.ListPartitionReassignments(c.img, req)
	case *kmsg.AlterPartitionAssignmentsRequest:
		records, resp = as(decides.AlterPartitionReassignments(c.img, req, c.in))
	case *kmsg.ElectLeadersRequest:
		records, resp = as(decides.ElectLeaders(c.img, req, c.in))
	case *kmsg.UnregisterBrokerRequest:
		records, resp = as(decides.UnregisterBroker(c.img, req, c.in))
	default:
		c.t.Errorf("a fake node is asked by %T", req)
	}
	c.decide(records)
	resp.SetVersion(req.GetVersion())
	return resp
}

// as widens what the controller returns to any response.
func as[R kmsg.Response](records []metadata.Record, resp R) ([]metadata.Record, kmsg.Response) {
	return records, resp
}

func (c *fakeCluster) apiVersions(resp *kmsg.ApiVersionsResponse) {
	for _, key := range fakeAPIs {
		if !c.unserved[key] {
			told := kmsg.NewApiVersionsResponseApiKey()
			told.ApiKey, told.MaxVersion = int16(key), kmsg.RequestForKey(int16(key)).MaxVersion()
			resp.ApiKeys = append(resp.ApiKeys, told)
		}
	}
}

func (c *fakeCluster) metadata(resp *kmsg.MetadataResponse) {
	resp.ControllerID = c.quorum.LeaderID
	for b := range c.img.Live() {
		told := kmsg.NewMetadataResponseBroker()
		told.NodeID, told.Host, told.Port = b.ID, b.Endpoints[0].Host, int32(b.Endpoints[0].Port)
		resp.Brokers = append(resp.Brokers, told)
	}
	for t := range c.img.Topics() {
		told := kmsg.NewMetadataResponseTopic()
		told.Topic, told.TopicID = &t.Name, t.ID
		for i := range t.Partitions {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader, p.LeaderEpoch = int32(i), t.Partitions[i].Leader, t.Partitions[i].LeaderEpoch
			p.Replicas, p.ISR = t.Partitions[i].Replicas, t.Partitions[i].ISR
			if p.Leader < 0 {
				p.ErrorCode = kerr.LeaderNotAvailable.Code
			}
			told.Partitions = append(told.Partitions, p)
		}
		resp.Topics = append(resp.Topics, told)
	}
}

func (c *fakeCluster) describeCluster(resp *kmsg.DescribeClusterResponse) {
	resp.ClusterID, resp.ControllerID = "fake", c.quorum.LeaderID
	for b := range c.img.Brokers() {
		told := kmsg.NewDescribeClusterResponseBroker()
		rack := fmt.Sprintf("r%d", b.ID)
		told.NodeID, told.Host, told.Port, told.Rack, told.IsFenced = b.ID, b.Endpoints[0].Host, int32(b.Endpoints[0].Port), &rack, b.Fenced
		resp.Brokers = append(resp.Brokers, told)
	}
}

func (c *fakeCluster) logDirs(id int32, resp *kmsg.DescribeLogDirsResponse) {
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir, dir.UsableBytes, dir.TotalBytes = "/data", c.nodes[id].usable, c.nodes[id].total
	dir.IsCordoned = c.configs[fmt.Sprint("broker ", id)][cordonedDirs] != ""
	for t := range c.img.Topics() {
		told := kmsg.NewDescribeLogDirsResponseDirTopic()
		told.Topic = t.Name
		for i := range t.Partitions {
			if slices.Contains(t.Partitions[i].Replicas, id) {
				p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
				p.Partition, p.Size = int32(i), c.sizes[topicPartition{Topic: t.Name, Partition: int32(i)}][id]
				told.Partitions = append(told.Partitions, p)
			}
		}
		dir.Topics = append(dir.Topics, told)
	}
	resp.Dirs = append(resp.Dirs, dir)
}

// describeConfigs tells of those that were set, and of min.insync.replicas, which is 2.
func (c *fakeCluster) describeConfigs(req *kmsg.DescribeConfigsRequest, resp *kmsg.DescribeConfigsResponse) {
	for _, wanted := range req.Resources {
		told := kmsg.NewDescribeConfigsResponseResource()
		told.ResourceType, told.ResourceName = wanted.ResourceType, wanted.ResourceName
		add := func(name, value string, source kmsg.ConfigSource) {
			config := kmsg.NewDescribeConfigsResponseResourceConfig()
			config.Name, config.Value, config.Source = name, &value, source
			told.Configs = append(told.Configs, config)
		}
		source := kmsg.ConfigSourceDynamicBrokerConfig
		if wanted.ResourceType == kmsg.ConfigResourceTypeTopic {
			source = kmsg.ConfigSourceDynamicTopicConfig
			add("min.insync.replicas", "2", kmsg.ConfigSourceDefaultConfig)
		}
		for name, value := range c.configs[resourceText(wanted.ResourceType, wanted.ResourceName)] {
			add(name, value, source)
		}
		resp.Resources = append(resp.Resources, told)
	}
}

func resourceText(kind kmsg.ConfigResourceType, name string) string {
	if kind == kmsg.ConfigResourceTypeTopic {
		return "topic " + name
	}
	return "broker " + name
}

func (c *fakeCluster) alterConfigs(req *kmsg.IncrementalAlterConfigsRequest, resp *kmsg.IncrementalAlterConfigsResponse) {
	for _, r := range req.Resources {
		told := kmsg.NewIncrementalAlterConfigsResponseResource()
		told.ResourceType, told.ResourceName = r.ResourceType, r.ResourceName
		resource := resourceText(r.ResourceType, r.ResourceName)
		if c.configs[resource] == nil {
			c.configs[resource] = map[string]string{}
		}
		for _, config := range r.Configs {
			switch {
			case config.Name == c.refused:
				told.ErrorCode = kerr.InvalidRequest.Code
			case config.Name == c.ignored:
			case config.Op == kmsg.IncrementalAlterConfigOpDelete:
				delete(c.configs[resource], config.Name)
				c.altered = append(c.altered, resource+" -"+config.Name)
			default:
				c.configs[resource][config.Name] = *config.Value
				c.altered = append(c.altered, resource+" "+config.Name+"="+*config.Value)
			}
		}
		resp.Resources = append(resp.Resources, told)
	}
}

func (c *fakeCluster) describePartitions(req *kmsg.DescribeTopicPartitionsRequest, resp *kmsg.DescribeTopicPartitionsResponse) {
	for _, wanted := range req.Topics {
		t, _ := c.img.Topic(wanted.Topic)
		told := kmsg.NewDescribeTopicPartitionsResponseTopic()
		told.Topic, told.TopicID = &t.Name, t.ID
		for i := range t.Partitions {
			p := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
			p.Partition, p.LeaderID = int32(i), t.Partitions[i].Leader
			p.EligibleLeaderReplicas, p.LastKnownELR = t.Partitions[i].ELR(), t.Partitions[i].LastKnownELR()
			told.Partitions = append(told.Partitions, p)
		}
		resp.Topics = append(resp.Topics, told)
	}
}
