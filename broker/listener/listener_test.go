package listener

import (
	"testing"
)

func TestAnswersOneAfterTheOther(t *testing.T) {
	s := onLoopback(t, Config{}, echo).run(t)
	conn := s.dial()
	for i := range int32(3) {
		send(t, conn, frameOf(metadata, i, []byte("hello")))
		expect(t, conn, i, "hello")
	}
	conn.Close()
	s.counts.ended(t, "client", 1)
}
