package sasl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security/transport"
)

// ErrLogin says that there is somebody at an address, and that the login there failed.
var ErrLogin = errors.New("SASL login")

// maxAnswer bounds an answer of somebody who may be anybody.
const maxAnswer = 64 << 10

// Dialer returns dial with a login over it. begin returns the client's side of each
// exchange.
func Dialer(dial transport.Dial, clientID string, begin func() (Client, error)) transport.Dial {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		client, err := begin()
		if err == nil {
			err = login(ctx, conn, clientID, client)
		}
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("%w at %s: %w", ErrLogin, addr, err)
		}
		return conn, nil
	}
}

// login authenticates on a new connection. Whatever ends ctx ends it.
func login(ctx context.Context, conn net.Conn, clientID string, client Client) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	e := exchange{conn: conn, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID))}
	if err := e.run(client); err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	if !stop() {
		return context.Cause(ctx)
	}
	return nil
}

// exchange is the requests of a login.
type exchange struct {
	conn   net.Conn
	format *kmsg.RequestFormatter
	number int32
}

func (e *exchange) run(client Client) error {
	hello := kmsg.NewPtrSASLHandshakeRequest()
	hello.Version, hello.Mechanism = 1, client.Mechanism()
	answer, err := e.ask(hello)
	if err != nil {
		return err
	}
	if told := answer.(*kmsg.SASLHandshakeResponse); told.ErrorCode != 0 {
		if !slices.Contains(told.SupportedMechanisms, client.Mechanism()) {
			return fmt.Errorf("%s is not offered there, but %s: %w", client.Mechanism(), strings.Join(told.SupportedMechanisms, ", "), kerr.ErrorForCode(told.ErrorCode))
		}
		return kerr.ErrorForCode(told.ErrorCode)
	}
	var challenge []byte
	for {
		token, err := client.Next(challenge)
		if err != nil || token == nil {
			return err
		}
		if challenge, err = e.authenticate(token); err != nil || client.Done() {
			return err
		}
	}
}

func (e *exchange) authenticate(token []byte) (challenge []byte, err error) {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version, req.SASLAuthBytes = 2, token
	answer, err := e.ask(req)
	if err != nil {
		return nil, err
	}
	told := answer.(*kmsg.SASLAuthenticateResponse)
	if err := kerr.ErrorForCode(told.ErrorCode); err != nil {
		if told.ErrorMessage != nil {
			err = fmt.Errorf("%s: %w", *told.ErrorMessage, err)
		}
		return nil, err
	}
	return told.SASLAuthBytes, nil
}

// ask sends a request and reads its answer.
func (e *exchange) ask(req kmsg.Request) (kmsg.Response, error) {
	e.number++
	if _, err := e.conn.Write(e.format.AppendRequest(nil, req, e.number)); err != nil {
		return nil, fmt.Errorf("send %s: %w", protocol.NameOf(req.Key()), err)
	}
	var head [8]byte
	if _, err := io.ReadFull(e.conn, head[:]); err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", protocol.NameOf(req.Key()), err)
	}
	size, number := binary.BigEndian.Uint32(head[:]), int32(binary.BigEndian.Uint32(head[4:]))
	if size < 4 || size > maxAnswer || number != e.number {
		return nil, fmt.Errorf("the answer to %s is none: %d bytes, number %d", protocol.NameOf(req.Key()), size, number)
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(e.conn, body); err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", protocol.NameOf(req.Key()), err)
	}
	body, err := protocol.ResponseBody(req.Key(), req.GetVersion(), body)
	if err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("decode the answer to %s: %w", protocol.NameOf(req.Key()), err)
	}
	return resp, nil
}
