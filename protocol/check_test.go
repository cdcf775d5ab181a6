package protocol

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// fillRandom sets every field of a message: lists get up to two elements.
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

// randomBody is a request as a client sends it.
func randomBody(seed uint64, key, version int16) []byte {
	req := kmsg.RequestForKey(key)
	fillRandom(rand.New(rand.NewPCG(seed, uint64(key))), reflect.ValueOf(req).Elem())
	req.SetVersion(version)
	return req.AppendTo(nil)
}

// Whatever kmsg encodes, Check takes to its last byte; no shorter piece passes.
func TestCheckAgreesWithTheEncoder(t *testing.T) {
	for key, s := range schemas {
		t.Run(s.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				version := rapid.Int16Range(s.from, s.to).Draw(t, "version")
				body := randomBody(rapid.Uint64().Draw(t, "seed"), key, version)
				if _, err := Check(key, version, body); err != nil {
					t.Fatalf("version %d: %v\n%x", version, err, body)
				}
				if cut := rapid.IntRange(0, max(0, len(body)-1)).Draw(t, "cut"); len(body) > 0 {
					if _, err := Check(key, version, body[:cut]); err == nil {
						t.Fatalf("version %d: passes when cut to %d of %d bytes", version, cut, len(body))
					}
				}
				if _, err := Check(key, version, append(body, 0)); err == nil {
					t.Fatalf("version %d: passes with a byte too many", version)
				}
			})
		})
	}
}

// A forged count costs nothing.
func TestCheckOfAForgedCount(t *testing.T) {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(8)
	body := req.AppendTo(nil)
	copy(body[len(body)-4:], []byte{0x03, 0xff, 0xff, 0xff})
	body = append(body, make([]byte, 4<<20)...)
	if allocs := testing.AllocsPerRun(10, func() { Check(0, 8, body[:1<<20]) }); allocs > 12 {
		t.Errorf("%v allocations for an error", allocs)
	}
	if _, err := Check(0, 8, body); err == nil {
		t.Error("a forged count passes")
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	body := randomBody(3, 1, 17)
	if allocs := testing.AllocsPerRun(100, func() {
		if _, err := Check(1, 17, body); err != nil {
			t.Fatal(err)
		}
	}); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// What passes, the decoder takes, and takes little memory for it.
func FuzzCheck(f *testing.F) {
	for key, s := range schemas {
		for _, version := range []int16{s.from, s.to} {
			f.Add(key, version, randomBody(1, key, version))
		}
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		if _, err := Check(key, version, body); err != nil {
			return
		}
		req := kmsg.RequestForKey(key)
		req.SetVersion(version)
		if err := req.ReadFrom(body); err != nil {
			t.Errorf("key %d version %d passes and does not decode: %v", key, version, err)
		}
	})
}
