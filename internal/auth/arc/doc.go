// Package arc validates the Authenticated Received Chain of one message: RFC
// 8617, section 5.2. It does not seal, and it trusts nobody: a passing chain names
// who vouched for the message, and only a reader who knows the sealers can judge
// what that is worth. Anyone can seal.
//
// A Verifier reads the whole header and then the body in chunks, like one of package
// dkim, which verifies its signatures. A message without ARC fields costs one pass
// over its field names.
package arc
