// Package oauth verifies the tokens that clients show by SASL's OAUTHBEARER: JSON web
// tokens, signed by somebody whose keys a JWKS has.
//
// [Keys] reads the JWKS, from a file or by https, when it starts and from time to time,
// and once more, but not too often, when a token names a key that it has not. What
// cannot be read leaves the former keys in place. Only addresses that are allowed are
// read, no redirection is followed, and no more than a MiB is taken.
//
// [Verifier] is pure but for the keys: only asymmetric signatures count, so that a
// public key is never taken for a shared secret, and a token without a signature is none.
//
// Goroutines: the one that calls [Keys.Run]. The keys stand behind an atomic pointer;
// there are no locks.
package oauth
