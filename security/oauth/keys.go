package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxKeys bounds what is read of a JWKS, in bytes.
	maxKeys = 1 << 20
	// readTimeout bounds how long that takes.
	readTimeout = 10 * time.Second
	// askAgain is how long the keys are not read anew for a key that they have not.
	askAgain = 10 * time.Second
)

// KeysConfig is where the keys are.
type KeysConfig struct {
	URL     string   // https://… or file:///…
	Allowed []string // the URLs that may be read
	Refresh time.Duration
	// Backoff is how long it takes at first until what could not be read is tried again,
	// at most MaxBackoff.
	Backoff, MaxBackoff time.Duration
}

// Check says why the keys cannot be read there.
func (c *KeysConfig) Check() error {
	at, err := url.Parse(c.URL)
	switch {
	case err != nil || at.Scheme != "https" && at.Scheme != "file":
		return fmt.Errorf("%s is neither https://… nor file:///…", c.URL)
	case at.Scheme == "file" && (at.Host != "" || at.Path == ""):
		return fmt.Errorf("%s names no file of this machine: it is written file:///…", c.URL)
	case !slices.Contains(c.Allowed, c.URL):
		return fmt.Errorf("%s is not allowed: add it to klamm.sasl.oauthbearer.allowed.urls", c.URL)
	}
	return nil
}

// Keys are those of whoever signs tokens.
type Keys struct {
	config  KeysConfig
	logger  *slog.Logger
	client  *http.Client
	current atomic.Pointer[jose.JSONWebKeySet]
	wanted  chan struct{} // a token named a key that is not there
}

// NewKeys returns keys that are read once Run is called. client is for https; nil for
// the usual one.
func NewKeys(c KeysConfig, client *http.Client, logger *slog.Logger) *Keys {
	if client == nil {
		client = &http.Client{}
	}
	own := *client
	own.Timeout = readTimeout
	own.CheckRedirect = func(*http.Request, []*http.Request) error {
		return errors.New("a redirection is not followed: name the address itself")
	}
	k := &Keys{config: c, logger: logger, client: &own, wanted: make(chan struct{}, 1)}
	return k
}

// Run reads the keys until ctx ends.
func (k *Keys) Run(ctx context.Context) error {
	backoff := k.config.Backoff
	for {
		wait := k.config.Refresh
		if err := k.read(ctx); err != nil && ctx.Err() == nil {
			k.logger.Error("the keys of OAUTHBEARER cannot be read; the former ones stay", "url", k.config.URL, "err", err)
			wait, backoff = backoff, min(2*backoff, k.config.MaxBackoff)
		} else {
			backoff = k.config.Backoff
		}
		if !k.sleep(ctx, wait) {
			return nil
		}
	}
}

// sleep waits until it is time to read the keys, or until somebody asks for others. It
// reports false when ctx ends.
func (k *Keys) sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	early := time.NewTimer(min(askAgain, wait))
	defer early.Stop()
	var wanted <-chan struct{}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-wanted:
			return true
		case <-early.C:
			wanted = k.wanted
		}
	}
}

func (k *Keys) read(ctx context.Context) error {
	raw, err := k.fetch(ctx)
	if err != nil {
		return err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	if len(set.Keys) == 0 {
		return errors.New("there is no key")
	}
	k.current.Store(&set)
	return nil
}

func (k *Keys) fetch(ctx context.Context) ([]byte, error) {
	at, err := url.Parse(k.config.URL)
	if err != nil {
		return nil, err
	}
	if at.Scheme == "file" {
		file, err := os.Open(at.Path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return limited(file)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.config.URL, nil)
	if err != nil {
		return nil, err
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", resp.Status)
	}
	return limited(resp.Body)
}

func limited(in io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(in, maxKeys+1))
	if err == nil && len(raw) > maxKeys {
		err = fmt.Errorf("it has more than %d bytes", maxKeys)
	}
	return raw, err
}

// errNoKey says that a token names a key that is not there, or not yet.
var errNoKey = errors.New("its key is not among those of the JWKS")

// Known reports whether the keys were read.
func (k *Keys) Known() bool { return k.current.Load() != nil }

// find returns the key of an id. Where the token has none, the one there is.
func (k *Keys) find(id string) (*jose.JSONWebKey, error) {
	set := k.current.Load()
	if set == nil {
		return nil, errNoKey
	}
	if id == "" && len(set.Keys) == 1 {
		return &set.Keys[0], nil
	}
	for i := range set.Keys {
		if key := &set.Keys[i]; id != "" && key.KeyID == id && (key.Use == "" || key.Use == "sig") {
			return key, nil
		}
	}
	select {
	case k.wanted <- struct{}{}:
	default:
	}
	return nil, errNoKey
}
