// Package auth has the rules of its own by which people publish and play: addresses, users, tokens, and signed URLs. It stands before the
// hooks: whom a rule refuses is refused, and whom it lets in the hooks are asked about, if there are any, unless the rule is trusted.
//
// The first rule whose scope fits (action, stream, address) decides. It lets in who proves to be one of its users, has one of its tokens or a
// signed URL; one that wants no proof lets everybody in, or, with deny, nobody. Who fits no rule is refused, where there are rules for the
// action; where there are none, everybody is let in.
//
// Proofs are parts of the URL's query: user and password; token; expires and sign. Secrets are compared in constant time. Who gives a wrong one
// five times within a minute for the same stream is refused without a look for a second, then two, and so on up to a minute: that is a note in
// a bounded table, and no goroutine waits.
package auth
