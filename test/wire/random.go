package wire

import (
	"math/rand/v2"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol/node"
)

// Random returns a request with every field set by chance: small numbers of
// either sign, short strings and bytes, null where that may be, lists of up to two
// elements. It is sound at its version, and means nothing.
func Random(rng *rand.Rand, key, version int16) kmsg.Request {
	req := Request(key)
	fillRandom(rng, reflect.ValueOf(req).Elem())
	req.SetVersion(version)
	if fetch, ok := req.(*kmsg.FetchRequest); ok {
		leaveOutLaterTags(fetch)
	}
	return req
}

// Request returns an empty request: one of Kafka's, or one of those that nodes send
// each other.
func Request(key int16) kmsg.Request {
	if req := node.RequestForKey(key); req != nil {
		return req
	}
	return kmsg.RequestForKey(key)
}

func fillRandom(rng *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Version" && name != "UnknownTags" {
				fillRandom(rng, v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rng.IntN(3), 4))
		for i := range v.Len() {
			fillRandom(rng, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fillRandom(rng, v.Index(i))
		}
	case reflect.Pointer:
		if rng.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fillRandom(rng, v.Elem())
		}
	case reflect.String:
		v.SetString([]string{"", "a", "a longer one"}[rng.IntN(3)])
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(int8(rng.Uint32())))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(uint8(rng.Uint32())))
	}
}

// leaveOutLaterTags resets the tagged fields that the request's version does not
// have yet: kmsg would write them all the same, and Kafka refuse them.
func leaveOutLaterTags(req *kmsg.FetchRequest) {
	if req.Version < 15 {
		req.ReplicaState = kmsg.NewFetchRequestReplicaState()
	}
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			p, without := &req.Topics[i].Partitions[j], kmsg.NewFetchRequestTopicPartition()
			if req.Version < 17 {
				p.ReplicaDirectoryID = without.ReplicaDirectoryID
			}
			if req.Version < 18 {
				p.HighWatermark = without.HighWatermark
			}
		}
	}
}
