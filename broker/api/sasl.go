package api

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security/sasl"
)

// SaslHandshake (17), versions 0 and 1, by which a client says how it will prove who it
// is, and SaslAuthenticate (36), versions 0 to 2, in which it does.
//
//	17  1  the tokens follow in SaslAuthenticate, after version 0 bare
//	36  1  how long the session will be (KIP-368)    2  flexible

// admit lets a request pass that its client may ask for by now.
func (h *Handler) admit(r *listener.Request) bool {
	if r.Bare {
		h.bareToken(r)
		return false
	}
	known := r.Conn.SASL.Known()
	if err := r.Conn.SASL.Admit(r.Key, r.Received); err != nil {
		if !known {
			h.delayFailure(r.Conn.SASL)
		}
		r.ReplyNothing()
		r.Conn.Refuse(err)
		return false
	}
	return true
}

// delayFailure keeps who fails waiting, so that guessing takes time.
func (h *Handler) delayFailure(c *sasl.Conversation) {
	timer := time.NewTimer(c.FailureDelay())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.serving.Done():
	}
}

func (h *Handler) saslHandshake(r *listener.Request, req *kmsg.SASLHandshakeRequest) {
	resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
	err := error(kerr.IllegalSaslState)
	if c := r.Conn.SASL; c != nil {
		err = c.Handshake(req.Version, req.Mechanism, r.Received)
	}
	resp.ErrorCode = errorCode(err)
	if !errors.Is(err, kerr.IllegalSaslState) {
		resp.SupportedMechanisms = r.Conn.SASL.Mechanisms()
		h.refuse(r, err)
	}
	r.ReplyMsg(resp)
}

// refuse ends a connection whose client has failed, if it has.
func (h *Handler) refuse(r *listener.Request, err error) {
	if err != nil {
		h.delayFailure(r.Conn.SASL)
		r.Conn.Refuse(sasl.Explain(err))
	}
}

func (h *Handler) saslAuthenticate(r *listener.Request, req *kmsg.SASLAuthenticateRequest) {
	resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	if r.Conn.SASL == nil {
		resp.ErrorCode = kerr.IllegalSaslState.Code
		resp.ErrorMessage = kmsg.StringPtr("SaslAuthenticate request received after successful authentication")
		r.ReplyMsg(resp)
		return
	}
	reply, session, err := h.authenticate(r, req.SASLAuthBytes)
	if errors.Is(err, sasl.ErrNotKnown) {
		r.ReplyNothing()
		return
	}
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = errorCode(err), protocol.ErrorMessage(err)
	} else {
		resp.SASLAuthBytes, resp.SessionLifetimeMillis = reply, session.Milliseconds()
	}
	r.ReplyMsg(resp)
}

// bareToken takes a token that came without a request around it. After a failure there
// is no form in which the client would understand why.
func (h *Handler) bareToken(r *listener.Request) {
	reply, _, err := h.authenticate(r, r.Body)
	if err != nil {
		r.ReplyNothing()
		return
	}
	r.Reply(listener.Part{Bytes: reply})
}

// authenticate goes on with the conversation, and takes note of who the client is once
// it is over.
func (h *Handler) authenticate(r *listener.Request, token []byte) (reply []byte, session time.Duration, err error) {
	c := r.Conn
	reply, session, err = c.SASL.Authenticate(token, time.Now())
	switch {
	case err != nil && !errors.Is(err, kerr.IllegalSaslState):
		h.refuse(r, err)
	case err == nil && c.SASL.Known():
		c.Principal = c.SASL.Principal()
		h.noteKnown(r)
	}
	return reply, session, err
}
