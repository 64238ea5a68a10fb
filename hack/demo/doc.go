// Package demo shows the main job on real parts: a fleet of BGP speakers behind
// one VIP, maintained and broken while the customers' sessions stay up.
package demo
