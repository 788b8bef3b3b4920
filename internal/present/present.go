// Package present shows answers to the person at the terminal: it prints what an
// operation of package api answered as text, as a table, as CSV or as JSON, asks for
// passwords, and tells how far long work is. It decides nothing: what is shown stands
// in the answer.
package present
