package controller

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// maxRecords bounds what one request may change, as Kafka bounds it: a larger
// one would hold up every other decision.
const maxRecords = 10_000

// Controller decides. It holds no state: an image and [Inputs] come with each
// question.
type Controller struct {
	// First are the passwords with which a new cluster begins.
	First []security.ScramCredential
}

// Inputs are what a decision depends on besides the metadata and the request.
type Inputs struct {
	NewTopicID func() protocol.TopicID
	Config     *config.Broker // of this node: its id, its defaults for topics
}

// refusal is an error with the exact text that a client gets to read.
type refusal struct {
	code    *kerr.Error
	message string // empty: the client is sent none
}

func (r *refusal) Error() string { return r.message }
func (r *refusal) Unwrap() error { return r.code }

func refuse(code *kerr.Error, format string, args ...any) error {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// plain refuses with the text that the code itself has.
func plain(code *kerr.Error) error { return &refusal{code, code.Description} }

// answer splits err into what a response carries of it.
func answer(err error) (code int16, message *string) {
	if r := (*refusal)(nil); errors.As(err, &r) && r.message == "" {
		return r.code.Code, nil
	}
	return protocol.ErrorCode(err), protocol.ErrorMessage(err)
}

var (
	errTooMany           = refuse(kerr.PolicyViolation, "Unable to perform excessively large batch operation.")
	errTooManyPartitions = refuse(kerr.PolicyViolation, "Excessively large number of partitions per request.")
)
