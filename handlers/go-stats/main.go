// Command go-stats is the demo's handler: it keeps the books of a stream of sensor readings. For each reading it counts,
// notices duplicates and disorder, keeps the mean of the metric's last readings, replies with that mean, and raises
// an alert when a reading stands out. The very same handler, written by hand in WebAssembly text, is in ../stats-wat.
//
// A reading is {"n":123,"metric":"load1","value":0.42}: exactly these keys in this order without spaces, where n is the
// sensor's running number from 1. Anything else is rejected. Numbers are kept in thousandths, as integers.
//
// The store, all of it text but for the windows:
//
//	count           readings handled
//	last            n of the latest reading
//	out_of_order    readings whose n was not above the one before
//	seen/<n>        how often this n was handled
//	duplicates      readings whose n had been handled before
//	window/<metric> the last 16 values, oldest first, each 8 bytes little-endian
//	mean/<metric>   {"mean":0.420,"samples":16} of that window
//
// The reply is "<n> <mean>". A value more than alert-percent (configured; 50) above the mean, with at least 8 samples,
// is sent on the channel alerts as {"n":123,"metric":"load1","value":0.420,"mean":0.280}.
package main

import "github.com/getevo/rmds/handlers/guest"

func init() {
	guest.Init(func() error {
		_, err := alertPercent()
		return err
	})
	guest.Handle(handle)
}

func main() {}
