package api

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/protocol/node"
)

// ApiVersions (18), versions 0 to 4.
//
//	1  throttle time
//	3  flexible, the client's software (KIP-511), feature levels as tags (KIP-584)
//	4  feature levels whose lowest is 0

// softwareName is what a client may call itself and its version.
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

func (h *Handler) apiVersions(r *listener.Request, req *kmsg.ApiVersionsRequest) {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	if req.Version >= 3 {
		if !softwareName.MatchString(req.ClientSoftwareName) || !softwareName.MatchString(req.ClientSoftwareVersion) {
			resp.ErrorCode = kerr.InvalidRequest.Code
			r.ReplyMsg(resp)
			return
		}
		r.Conn.SetSoftware(req.ClientSoftwareName, req.ClientSoftwareVersion)
	}
	for _, key := range slices.Sorted(maps.Keys(h.apis)) {
		if node.RequestForKey(key) == nil {
			resp.ApiKeys = append(resp.ApiKeys, h.versionsOf(key))
		}
	}
	if req.Version >= 3 {
		h.addFeatures(resp)
	}
	r.ReplyMsg(resp)
}

func (h *Handler) versionsOf(key int16) kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = key, h.apis[key].min, h.apis[key].max
	if key == produceKey {
		k.MinVersion = 0 // not served, but old librdkafka takes it for the sign that gzip and snappy work (KIP-896)
	}
	return k
}

// refuseVersion answers a version that is not served. A newer ApiVersions is
// answered in version 0, from which the client learns what it may ask; for all
// else there is no form in which the client would understand an answer.
func (h *Handler) refuseVersion(r *listener.Request, a api) {
	if r.Key != apiVersionsKey {
		r.Hangup(fmt.Errorf("version %d of %s: versions %d to %d are served: %w", r.Version, nameOf(r.Key), a.min, a.max, kerr.UnsupportedVersion))
		return
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	resp.ApiKeys = append(resp.ApiKeys, h.versionsOf(apiVersionsKey))
	r.Version = 0
	r.ReplyMsg(resp)
}
