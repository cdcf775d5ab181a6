// Package transport secures connections by TLS, as Kafka's ssl.* keys say.
//
// [Settings] are those keys as one listener or client has them. A [Source] reads
// the key and trust stores that they name, and again when their files change:
// connections that are made from then on use the new ones, those that stand are
// left alone. What cannot be read leaves the former in place, for a broker that
// serves with yesterday's certificate is better than none.
//
// [Source.Server] is for a listener, [Source.Dialer] for who connects. Who a
// client's certificate says it is, is its distinguished name in the form of
// RFC 2253, as Java writes it, taken through the rules of ssl.principal.mapping.rules.
//
// Sessions are not resumed: every connection proves itself by the certificates
// that count when it is made.
//
// Goroutines: none but the one that calls [Source.Run]. There are no locks; what
// was read last stands behind an atomic pointer.
package transport
