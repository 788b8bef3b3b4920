package dmarc

// Record is one DMARC policy record (RFC 9989 section 4.7).
type Record struct{}
