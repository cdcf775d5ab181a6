package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// transcript turns the lines of a transcript into requests and the answers into
// lines. One request a command, at the version that v= gives:
//
//	create v=7 [validate-only]      NAME [partitions=N] [rf=N] [assign=P:B/B,...] [KEY=VALUE ...]
//	delete v=6                      [name=NAME] [id=TOPIC|unknown|zero]
//	partitions v=3 [validate-only]  NAME count=N [assign=B/B,...]
//	alter v=2 [validate-only]       TYPE NAME [KEY=VALUE ...]
//	incremental v=1 [validate-only] TYPE NAME [KEY=VALUE | KEY+=VALUE | KEY-=VALUE | KEY! | KEY?VALUE ...]
//	reassign v=1 [same-size]        NAME PARTITION [B/B ...], without brokers to cancel
//	reassignments v=0               [NAME PARTITION]
//	elect v=2 [unclean]             [NAME PARTITION]
//	unregister v=0                  ID
//
// "-" is the empty name, "null" the null value, TYPE topic, broker or a number.
// KEY! deletes and KEY? asks for an operation that does not exist.
type transcript struct {
	send func(t *testing.T, req kmsg.Request) kmsg.Response
	ids  map[string]protocol.TopicID // of topics created so far
}

func (s *transcript) run(t *testing.T, path string) {
	s.ids = map[string]protocol.TopicID{}
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		var v int16
		d.ScanArgs(t, "v", &v)
		var lines [][]string
		for line := range strings.Lines(d.Input) {
			lines = append(lines, strings.Fields(line))
		}
		req := s.request(t, d.Cmd, lines, d.HasArg("validate-only") || d.HasArg("same-size") || d.HasArg("unclean"))
		req.SetVersion(v)
		out := s.print(s.send(t, req))
		slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(firstWord(a), firstWord(b)) })
		return strings.Join(append(out, ""), "\n")
	})
}

func firstWord(line string) string { word, _, _ := strings.Cut(line, ":"); return word }

func (s *transcript) request(t *testing.T, command string, lines [][]string, validateOnly bool) kmsg.Request {
	switch command {
	case "create":
		return createRequest(t, lines, validateOnly)
	case "delete":
		return s.deleteRequest(t, lines)
	case "partitions":
		return partitionsRequest(t, lines, validateOnly)
	case "alter":
		return alterRequest(t, lines, validateOnly)
	case "incremental":
		return incrementalRequest(t, lines, validateOnly)
	case "reassign":
		return reassignRequest(t, lines, validateOnly)
	case "reassignments":
		return reassignmentsRequest(t, lines)
	case "elect":
		return electRequest(t, lines, validateOnly)
	case "unregister":
		return &kmsg.UnregisterBrokerRequest{BrokerID: number(t, lines[0][0])}
	}
	t.Fatalf("no command %s", command)
	return nil
}

func createRequest(t *testing.T, lines [][]string, validateOnly bool) kmsg.Request {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.ValidateOnly = validateOnly
	for _, line := range lines {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name(line[0]), -1, -1
		for _, word := range line[1:] {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "partitions":
				topic.NumPartitions = number(t, value)
			case "rf":
				topic.ReplicationFactor = int16(number(t, value))
			case "assign":
				for _, one := range strings.Split(value, ",") {
					p, brokers, _ := strings.Cut(one, ":")
					topic.ReplicaAssignment = append(topic.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{
						Partition: number(t, p), Replicas: numbers(t, brokers)})
				}
			default:
				topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: nullable(value)})
			}
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

func (s *transcript) deleteRequest(t *testing.T, lines [][]string) kmsg.Request {
	req := kmsg.NewPtrDeleteTopicsRequest()
	for _, line := range lines {
		topic := kmsg.NewDeleteTopicsRequestTopic()
		for _, word := range line {
			key, value, _ := strings.Cut(word, "=")
			switch {
			case key == "name":
				text := name(value)
				topic.Topic = &text
				req.TopicNames = append(req.TopicNames, text)
			case value == "unknown":
				topic.TopicID = [16]byte{1, 2, 3}
			case value != "zero":
				topic.TopicID = s.ids[value]
			}
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

func partitionsRequest(t *testing.T, lines [][]string, validateOnly bool) kmsg.Request {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.ValidateOnly = validateOnly
	for _, line := range lines {
		topic := kmsg.NewCreatePartitionsRequestTopic()
		topic.Topic = name(line[0])
		for _, word := range line[1:] {
			switch key, value, _ := strings.Cut(word, "="); key {
			case "count":
				topic.Count = number(t, value)
			case "assign":
				for _, brokers := range strings.Split(value, ",") {
					topic.Assignment = append(topic.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: numbers(t, brokers)})
				}
			}
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

func alterRequest(t *testing.T, lines [][]string, validateOnly bool) kmsg.Request {
	req := kmsg.NewPtrAlterConfigsRequest()
	req.ValidateOnly = validateOnly
	for _, line := range lines {
		resource := kmsg.NewAlterConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = resourceType(t, line[0]), name(line[1])
		for _, word := range line[2:] {
			key, value, _ := strings.Cut(word, "=")
			resource.Configs = append(resource.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: key, Value: nullable(value)})
		}
		req.Resources = append(req.Resources, resource)
	}
	return req
}

func incrementalRequest(t *testing.T, lines [][]string, validateOnly bool) kmsg.Request {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = validateOnly
	for _, line := range lines {
		resource := kmsg.NewIncrementalAlterConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = resourceType(t, line[0]), name(line[1])
		for _, word := range line[2:] {
			resource.Configs = append(resource.Configs, operation(word))
		}
		req.Resources = append(req.Resources, resource)
	}
	return req
}

func reassignRequest(t *testing.T, lines [][]string, sameSize bool) kmsg.Request {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.AllowReplicationFactorChange = !sameSize
	for _, line := range lines {
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition = number(t, line[1])
		if len(line) > 2 {
			p.Replicas = append([]int32{}, numbers(t, line[2])...)
		}
		req.Topics = append(req.Topics, kmsg.AlterPartitionAssignmentsRequestTopic{Topic: name(line[0]), Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{p}})
	}
	return req
}

func reassignmentsRequest(t *testing.T, lines [][]string) kmsg.Request {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	for _, line := range lines {
		req.Topics = append(req.Topics, kmsg.ListPartitionReassignmentsRequestTopic{Topic: line[0], Partitions: numbers(t, line[1])})
	}
	return req
}

func electRequest(t *testing.T, lines [][]string, unclean bool) kmsg.Request {
	req := kmsg.NewPtrElectLeadersRequest()
	if unclean {
		req.ElectionType = 1
	}
	for _, line := range lines {
		req.Topics = append(req.Topics, kmsg.ElectLeadersRequestTopic{Topic: line[0], Partitions: numbers(t, line[1])})
	}
	return req
}

func operation(word string) kmsg.IncrementalAlterConfigsRequestResourceConfig {
	config := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: strings.TrimSuffix(word, "!"), Op: kmsg.IncrementalAlterConfigOpDelete}
	for _, op := range []struct {
		sign string
		op   kmsg.IncrementalAlterConfigOp
	}{
		{"+=", kmsg.IncrementalAlterConfigOpAppend},
		{"-=", kmsg.IncrementalAlterConfigOpSubtract},
		{"?", 9},
		{"=", kmsg.IncrementalAlterConfigOpSet},
	} {
		if key, value, found := strings.Cut(word, op.sign); found {
			return kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: key, Op: op.op, Value: nullable(value)}
		}
	}
	return config
}

func (s *transcript) print(resp kmsg.Response) []string {
	var out []string
	switch resp := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		for _, topic := range resp.Topics {
			out = append(out, s.printCreated(resp.Version, topic))
		}
	case *kmsg.DeleteTopicsResponse:
		for _, topic := range resp.Topics {
			out = append(out, s.printDeleted(topic))
		}
	case *kmsg.CreatePartitionsResponse:
		for _, topic := range resp.Topics {
			out = append(out, topic.Topic+": "+printError(topic.ErrorCode, topic.ErrorMessage))
		}
	case *kmsg.AlterConfigsResponse:
		for _, r := range resp.Resources {
			out = append(out, fmt.Sprintf("%d %s: %s", r.ResourceType, r.ResourceName, printError(r.ErrorCode, r.ErrorMessage)))
		}
	case *kmsg.AlterPartitionAssignmentsResponse:
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				out = append(out, fmt.Sprintf("%s-%d: %s", topic.Topic, p.Partition, printError(p.ErrorCode, p.ErrorMessage)))
			}
		}
		out = append(out, printError(resp.ErrorCode, resp.ErrorMessage))
	case *kmsg.ListPartitionReassignmentsResponse:
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				out = append(out, fmt.Sprintf("%s-%d: %v adding %v removing %v", topic.Topic, p.Partition, p.Replicas, p.AddingReplicas, p.RemovingReplicas))
			}
		}
		out = append(out, printError(resp.ErrorCode, resp.ErrorMessage))
	case *kmsg.ElectLeadersResponse:
		for _, topic := range resp.Topics {
			out = append(out, topic.Topic)
			for _, p := range topic.Partitions {
				out = append(out, fmt.Sprintf("%s-%d: %s", topic.Topic, p.Partition, printError(p.ErrorCode, p.ErrorMessage)))
			}
		}
		out = append(out, printError(resp.ErrorCode, nil))
	case *kmsg.UnregisterBrokerResponse:
		out = append(out, printError(resp.ErrorCode, resp.ErrorMessage))
	case *kmsg.IncrementalAlterConfigsResponse:
		for _, r := range resp.Resources {
			out = append(out, fmt.Sprintf("%d %s: %s", r.ResourceType, r.ResourceName, printError(r.ErrorCode, r.ErrorMessage)))
		}
	}
	return out
}

// printCreated prints of the configs only how many of them were not left alone.
func (s *transcript) printCreated(version int16, topic kmsg.CreateTopicsResponseTopic) string {
	line := topic.Topic + ": " + printError(topic.ErrorCode, topic.ErrorMessage)
	if version >= 5 && topic.ErrorCode == 0 {
		line += fmt.Sprintf(" partitions=%d rf=%d", topic.NumPartitions, topic.ReplicationFactor)
		for _, config := range topic.Configs {
			if config.Source == int8(kmsg.ConfigSourceDynamicTopicConfig) {
				line += fmt.Sprintf(" %s=%s", config.Name, *config.Value)
			}
		}
		if len(topic.Configs) < 25 {
			line += fmt.Sprintf(" but only %d configs", len(topic.Configs))
		}
	}
	if topic.TopicID != [16]byte{} {
		line += " id"
		s.ids[topic.Topic] = topic.TopicID
	}
	return line
}

func (s *transcript) printDeleted(topic kmsg.DeleteTopicsResponseTopic) string {
	name, id := "null", "zero"
	if topic.Topic != nil {
		name = *topic.Topic
	}
	if topic.TopicID != [16]byte{} {
		id = "unknown"
		for known, is := range s.ids {
			if is == topic.TopicID {
				id = known
			}
		}
	}
	return fmt.Sprintf("%s id %s: %s", name, id, printError(topic.ErrorCode, topic.ErrorMessage))
}

func printError(code int16, message *string) string {
	text := "ok"
	if code != 0 {
		text = kerr.ErrorForCode(code).(*kerr.Error).Message
	}
	if message != nil {
		text += " " + strconv.Quote(*message)
	}
	return text
}

func name(word string) string {
	if word == "-" {
		return ""
	}
	return strings.ReplaceAll(word, "LONG", strings.Repeat("x", 250))
}

func nullable(value string) *string {
	if value == "null" {
		return nil
	}
	return &value
}

func number(t *testing.T, text string) int32 {
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return int32(n)
}

// numbers reads "1/2/3"; "-" is the empty list.
func numbers(t *testing.T, text string) []int32 {
	var all []int32
	if text == "-" {
		return all
	}
	for _, one := range strings.Split(text, "/") {
		all = append(all, number(t, one))
	}
	return all
}

func resourceType(t *testing.T, word string) kmsg.ConfigResourceType {
	switch word {
	case "topic":
		return kmsg.ConfigResourceTypeTopic
	case "broker":
		return kmsg.ConfigResourceTypeBroker
	}
	return kmsg.ConfigResourceType(number(t, word))
}
