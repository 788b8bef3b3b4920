// Package present shows answers to the person at the terminal: it prints the answers of package api's
// operations as text, as a table, as CSV or as JSON, asks for passwords, and shows the progress of long
// work. It decides nothing: the answer contains what is shown.
package present
