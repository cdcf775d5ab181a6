package api_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol"
)

// fill sets the fields of a request that the JSON names; all others keep their
// defaults.
func (s *transcript) fill(t *testing.T, req any, text string) {
	reflect.ValueOf(req).MethodByName("Default").Call(nil)
	if strings.TrimSpace(text) == "" {
		return
	}
	var value any
	if err := json.Unmarshal([]byte(s.names.resolve(text)), &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	set(t, reflect.ValueOf(req).Elem(), value)
}

func set(t *testing.T, to reflect.Value, from any) {
	switch to.Kind() {
	case reflect.Struct:
		setStruct(t, to, from.(map[string]any))
	case reflect.Pointer:
		if from == nil {
			to.SetZero()
			return
		}
		to.Set(reflect.New(to.Type().Elem()))
		set(t, to.Elem(), from)
	case reflect.Slice:
		setSlice(t, to, from)
	case reflect.Array:
		setID(t, to, from.(string))
	case reflect.String:
		to.SetString(from.(string))
	case reflect.Bool:
		to.SetBool(from.(bool))
	case reflect.Uint16:
		to.SetUint(uint64(from.(float64)))
	case reflect.Float64:
		to.SetFloat(from.(float64))
	default:
		to.SetInt(int64(from.(float64)))
	}
}

func setStruct(t *testing.T, to reflect.Value, from map[string]any) {
	if m := to.Addr().MethodByName("Default"); m.IsValid() {
		m.Call(nil)
	}
	for name, value := range from {
		f := to.FieldByName(name)
		if !f.IsValid() {
			t.Fatalf("%s has no field %s", to.Type(), name)
		}
		set(t, f, value)
	}
}

// setSlice sets a list, or bytes: they are written as they are, in hex behind 0x,
// or as a list of [batch].
func setSlice(t *testing.T, to reflect.Value, from any) {
	ofBytes := to.Type().Elem().Kind() == reflect.Uint8
	switch from := from.(type) {
	case nil:
		to.SetZero()
	case string:
		to.SetBytes(bytesOf(t, from))
	case []any:
		if ofBytes {
			to.SetBytes(batchesOf(t, from))
			return
		}
		to.Set(reflect.MakeSlice(to.Type(), len(from), len(from)))
		for i := range from {
			set(t, to.Index(i), from[i])
		}
	}
}

func bytesOf(t *testing.T, text string) []byte {
	digits, isHex := strings.CutPrefix(text, "0x")
	if !isHex {
		return []byte(text)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func setID(t *testing.T, to reflect.Value, text string) {
	id, err := protocol.ParseTopicID(text)
	if err != nil {
		t.Fatal(err)
	}
	to.Set(reflect.ValueOf([16]byte(id)).Convert(to.Type()))
}

// print writes an answer, one line for each structure in a list.
func (s *transcript) print(resp any) string {
	var b strings.Builder
	s.printStruct(&b, "", reflect.ValueOf(resp).Elem())
	return b.String()
}

// printStruct prints a structure's plain fields on one line, then its lists; ok
// is one that has nothing to say.
func (s *transcript) printStruct(b *strings.Builder, indent string, v reflect.Value) {
	plain, lists := s.printFields(v)
	switch {
	case plain == "" && len(lists) == 0:
		fmt.Fprintf(b, "%sok\n", indent)
	case plain != "":
		fmt.Fprintf(b, "%s%s\n", indent, plain)
	}
	for _, name := range lists {
		fmt.Fprintf(b, "%s %s:\n", indent, name)
		if one := reflect.Indirect(v.FieldByName(name)); one.Kind() == reflect.Struct {
			s.printStruct(b, indent+"  ", one)
			continue
		}
		for _, element := range s.sorted(name, v.FieldByName(name)) {
			s.printStruct(b, indent+"  ", element)
		}
	}
}

// identities are the fields by which a list's elements are told apart.
var identities = []string{"ResourceType", "ResourceName", "Topic", "TopicID", "Group", "MemberID", "InstanceID", "Name", "Partition"}

// sorted puts a list's elements in the order of what they are about: no client
// may count on another, and Kafka's is often that of a hash. The sources of a
// config's value do have an order.
func (s *transcript) sorted(name string, list reflect.Value) []reflect.Value {
	elements := make([]reflect.Value, list.Len())
	keys := make(map[reflect.Value]string, list.Len())
	for i := range elements {
		elements[i] = list.Index(i)
		if name == "ConfigSynonyms" {
			continue
		}
		var key strings.Builder
		for _, field := range identities {
			if f := elements[i].FieldByName(field); f.IsValid() {
				fmt.Fprintf(&key, "%5s\x00", s.text(field, f))
			}
		}
		keys[elements[i]] = key.String()
	}
	slices.SortStableFunc(elements, func(a, b reflect.Value) int { return strings.Compare(keys[a], keys[b]) })
	return elements
}

// printFields returns the fields that do not have their default values, but for
// structures and lists of them, which it names.
func (s *transcript) printFields(v reflect.Value) (plain string, lists []string) {
	usual := reflect.New(v.Type())
	if m := usual.MethodByName("Default"); m.IsValid() {
		m.Call(nil)
	}
	var words []string
	for i := range v.NumField() {
		name, value := v.Type().Field(i).Name, v.Field(i)
		switch {
		case isUnprinted(v.Type(), name):
		case !slices.Contains(alwaysPrinted, name) && reflect.DeepEqual(value.Interface(), usual.Elem().Field(i).Interface()):
		case value.Kind() == reflect.Slice && value.Len() == 0:
			if !value.IsNil() {
				words = append(words, name+"=[]") // where it might have been null
			}
		case value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct, s.hasLists(value):
			lists = append(lists, name)
		default:
			words = append(words, name+"="+s.text(name, value))
		}
	}
	return strings.Join(words, " "), lists
}

// hasLists reports whether value is a structure that has lists of structures in
// it, and so takes more than a line.
func (s *transcript) hasLists(value reflect.Value) bool {
	one := reflect.Indirect(value)
	if one.Kind() != reflect.Struct {
		return false
	}
	_, lists := s.printFields(one)
	return len(lists) > 0
}

// alwaysPrinted are fields that tell what the others are about.
var alwaysPrinted = []string{"Partition", "ApiKey", "RelativeOffset"}

// unprinted are fields whose values are the broker's own: its sizes, its words for
// what is wrong with records, features that are its own. That a topic's whole
// configuration is answered when it is created is held elsewhere.
var unprinted = []string{
	"Version", "ThrottleMillis", "UnknownTags", "UsableBytes", "TotalBytes",
	"CreateTopicsResponseTopic.Configs", "DescribeConfigsResponseResourceConfig.Documentation",
	"ConsumerGroupHeartbeatResponse.ErrorMessage", "ConsumerGroupDescribeResponseGroup.ErrorMessage", "ProduceResponseTopicPartition.ErrorMessage", "ProduceResponseTopicPartitionErrorRecord.ErrorMessage",
	"ApiVersionsResponse.SupportedFeatures", "ApiVersionsResponse.FinalizedFeatures", "ApiVersionsResponse.FinalizedFeaturesEpoch",
}

func isUnprinted(t reflect.Type, field string) bool {
	return slices.Contains(unprinted, field) || slices.Contains(unprinted, t.Name()+"."+field)
}

func (s *transcript) text(field string, v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "null"
		}
		return s.text(field, v.Elem())
	case reflect.Array:
		return s.textOfID(v.Convert(reflect.TypeFor[[16]byte]()).Interface().([16]byte))
	case reflect.Struct:
		plain, _ := s.printFields(v)
		return "{" + plain + "}"
	case reflect.String:
		return fmt.Sprintf("%q", s.names.of(field, v.String()))
	case reflect.Slice:
		if field == "RecordBatches" {
			return describeBatches(v.Bytes())
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return fmt.Sprintf("%q", v.Bytes())
		}
	case reflect.Int16:
		if field == "ErrorCode" {
			if err := kerr.ErrorForCode(int16(v.Int())); err != nil {
				return err.(*kerr.Error).Message
			}
		}
	case reflect.Int64:
		if isNow(v.Int()) {
			return "<now>"
		}
	}
	return s.names.of(field, fmt.Sprint(v.Interface()))
}

// isNow reports whether ms is a time that the broker's clock gave.
func isNow(ms int64) bool { return time.Since(time.UnixMilli(ms)).Abs() < time.Hour }

// textOfID prints a topic's id: one that was made up to ask for begins with eight
// zeros, which no broker's does, and any other that has no name is a new one.
func (s *transcript) textOfID(id protocol.TopicID) string {
	text := s.names.of("TopicID", id.String())
	if [8]byte(id[:8]) != [8]byte{} && text == id.String() {
		return "<a new id>"
	}
	return text
}

// names are what the values that differ from broker to broker are called.
type names struct {
	called map[named]string
}

// named is a value of a field; fields that hold the same kind of value go by one
// of their names.
type named struct{ field, value string }

func newNames() *names { return &names{called: map[named]string{}} }

func kindOf(field, value string) named {
	if field == "LeaderID" {
		field = "MemberID" // a group's; a partition's leader is a number
	}
	return named{field, value}
}

func (n *names) give(field, value, name string) { n.called[named{field, value}] = "<" + name + ">" }

func (n *names) of(field, value string) string {
	if name, known := n.called[kindOf(field, value)]; known {
		return name
	}
	return value
}

// resolve puts values in the place of their names.
func (n *names) resolve(text string) string {
	for of, name := range n.called {
		text = strings.ReplaceAll(text, name, of.value)
	}
	return text
}
