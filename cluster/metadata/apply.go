package metadata

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// change is an image on its way to the next, and what was touched meanwhile.
type change struct {
	Image
	topicsTouched  []protocol.TopicID
	configsTouched []Resource
	brokersTouched []int32
	aclsTouched    []security.ACL
	quotasTouched  []QuotaEntity
}

// Apply returns the image after the records and what differs in it. A record
// that does not fit the image (an unknown topic, a second one of the same name)
// is an error, and means that the log it comes from is damaged. Records and all
// they point to belong to the image from here on.
func (i *Image) Apply(records []Record) (*Image, *Delta, error) {
	c := &change{Image: *i}
	for n, r := range records {
		if err := r.apply(c); err != nil {
			return nil, nil, fmt.Errorf("apply metadata record %d, %T: %w", n, r, err)
		}
	}
	next := c.Image
	return &next, c.delta(i, &next), nil
}

func (r *ClusterNamed) apply(c *change) error {
	if c.ClusterID != "" && c.ClusterID != r.ClusterID {
		return fmt.Errorf("cluster %s cannot become %s", c.ClusterID, r.ClusterID)
	}
	c.ClusterID = r.ClusterID
	return nil
}

func (r *ControllerElected) apply(c *change) error {
	c.ControllerID = r.BrokerID
	return nil
}

func (r *TopicCreated) apply(c *change) error {
	t := &r.Topic
	if _, found := c.Topic(t.Name); found {
		return fmt.Errorf("topic %s exists", t.Name)
	}
	if _, found := c.TopicByID(t.ID); found {
		return fmt.Errorf("topic id %s of %s exists", t.ID, t.Name)
	}
	if strings.ContainsAny(t.Name, "._") {
		c.alike = c.alike.put(alikeName{metricName(t.Name), t.Name}, struct{}{})
	}
	c.putTopic(t)
	c.partitions += len(t.Partitions)
	return nil
}

func (c *change) putTopic(t *Topic) {
	c.topics = c.topics.put(t.Name, t)
	c.topicIDs = c.topicIDs.put(t.ID, t)
	c.topicsTouched = append(c.topicsTouched, t.ID)
}

func (c *change) find(id protocol.TopicID) (*Topic, error) {
	t, found := c.TopicByID(id)
	if !found {
		return nil, fmt.Errorf("topic id %s is not known", id)
	}
	return t, nil
}

func (r *PartitionsAdded) apply(c *change) error {
	t, err := c.find(r.TopicID)
	if err != nil {
		return err
	}
	if int(r.First) != len(t.Partitions) {
		return fmt.Errorf("topic %s has %d partitions, the new ones begin at %d", t.Name, len(t.Partitions), r.First)
	}
	c.putTopic(&Topic{Name: t.Name, ID: t.ID, Partitions: slices.Concat(t.Partitions, r.Partitions)})
	c.partitions += len(r.Partitions)
	return nil
}

func (r *PartitionsChanged) apply(c *change) error {
	t, err := c.find(r.TopicID)
	if err != nil {
		return err
	}
	partitions := slices.Clone(t.Partitions)
	for _, changed := range r.Changes {
		if changed.Index < 0 || int(changed.Index) >= len(partitions) {
			return fmt.Errorf("topic %s has no partition %d", t.Name, changed.Index)
		}
		partitions[changed.Index] = changed.Partition
	}
	c.putTopic(&Topic{Name: t.Name, ID: t.ID, Partitions: partitions})
	return nil
}

func (r *TopicDeleted) apply(c *change) error {
	t, err := c.find(r.TopicID)
	if err != nil {
		return err
	}
	c.topics = c.topics.delete(t.Name)
	c.topicIDs = c.topicIDs.delete(t.ID)
	c.alike = c.alike.delete(alikeName{metricName(t.Name), t.Name})
	c.configs = c.configs.delete(TopicResource(t.Name))
	c.partitions -= len(t.Partitions)
	c.topicsTouched = append(c.topicsTouched, t.ID)
	return nil
}

func (r *ConfigSet) apply(c *change) error {
	if r.Resource.Type == kmsg.ConfigResourceTypeTopic {
		if _, found := c.Topic(r.Resource.Name); !found {
			return fmt.Errorf("config %s of topic %s, which is not known", r.Name, r.Resource.Name)
		}
	}
	set := maps.Clone(c.Config(r.Resource))
	if r.Value == nil {
		delete(set, r.Name)
	} else {
		if set == nil {
			set = map[string]string{}
		}
		set[r.Name] = *r.Value
	}
	c.putConfigs(r.Resource, set)
	return nil
}

func (c *change) putConfigs(r Resource, set map[string]string) {
	if len(set) == 0 {
		c.configs = c.configs.delete(r)
	} else {
		c.configs = c.configs.put(r, set)
	}
	c.configsTouched = append(c.configsTouched, r)
}

func (r *ProducerIDsAllocated) apply(c *change) error {
	if r.Next < c.NextProducerID {
		return fmt.Errorf("next producer id %d is below %d", r.Next, c.NextProducerID)
	}
	c.NextProducerID = r.Next
	return nil
}

func (r *FeatureLevelSet) apply(c *change) error {
	if r.Level == 0 {
		c.features = c.features.delete(r.Name)
	} else {
		c.features = c.features.put(r.Name, r.Level)
	}
	return nil
}

func (r *AccessControlAdded) apply(c *change) error {
	if c.HasACL(r.ACL) {
		return fmt.Errorf("ACL %+v exists", r.ACL)
	}
	c.acls = c.acls.put(r.ACL, struct{}{})
	c.aclsTouched = append(c.aclsTouched, r.ACL)
	return nil
}

func (r *AccessControlRemoved) apply(c *change) error {
	if !c.HasACL(r.ACL) {
		return fmt.Errorf("ACL %+v is not known", r.ACL)
	}
	c.acls = c.acls.delete(r.ACL)
	c.aclsTouched = append(c.aclsTouched, r.ACL)
	return nil
}
