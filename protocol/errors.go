package protocol

import (
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrorCode returns the code that tells a client of err: 0 for nil, the code of
// the *kerr.Error that err wraps, and UNKNOWN_SERVER_ERROR for anything else.
func ErrorCode(err error) int16 {
	if err == nil {
		return 0
	}
	var coded *kerr.Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	return kerr.UnknownServerError.Code
}

// ErrorMessage returns err's text for a response's nullable message field, nil
// for no error. The name of the code, which stands beside it, is left out: an error
// that ends in the one it wraps keeps what stands before, a bare one what it means.
// An error without a code of its own is not explained to clients:
// its text may name files and addresses of the server.
func ErrorMessage(err error) *string {
	if err == nil {
		return nil
	}
	text := kerr.UnknownServerError.Description
	var coded *kerr.Error
	switch {
	case errors.As(err, &coded) && err.Error() == coded.Error():
		text = meaningOf(coded)
	case coded != nil:
		text = strings.TrimSuffix(err.Error(), ": "+coded.Error())
	}
	return &text
}

// ownWords are Kafka's for codes that kerr explains in others.
var ownWords = map[int16]string{
	kerr.TopicAuthorizationFailed.Code:           "Topic authorization failed.",
	kerr.GroupAuthorizationFailed.Code:           "Group authorization failed.",
	kerr.TransactionalIDAuthorizationFailed.Code: "Transactional Id authorization failed.",
}

func meaningOf(e *kerr.Error) string {
	if words, differ := ownWords[e.Code]; differ {
		return words
	}
	return e.Description
}
