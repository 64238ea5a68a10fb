// Package bench measures what Peerage promises in numbers: how fast a change
// reaches every kernel, beside keepalived in the same run, and what it costs to
// find that nothing is to be done.
//
// It runs inside the lab. On an emulated machine milliseconds are upper bounds;
// ratios between two things measured there are what counts.
package bench
