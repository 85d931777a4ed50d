package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// messageSize is the size of every message in bytes.
const messageSize = 256

// options of a run.
type options struct {
	rounds   int
	messages int
	backlog  int
	outage   time.Duration
	only     *regexp.Regexp
	parts    *regexp.Regexp
	out      string
}

func main() {
	log.SetFlags(log.Ltime)
	if len(os.Args) == 3 && os.Args[1] == "worker" {
		if err := runWorker(os.Args[2], os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	o := options{}
	only := flag.String("systems", "", "regular expression of the systems to measure")
	parts := flag.String("parts", "", "regular expression of the parts to measure: rates, recovery, fanout, traffic, syncs, fleet, footprint")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds, each of which takes every system once")
	flag.IntVar(&o.messages, "messages", 200_000, "messages at full speed; a twentieth for what fsyncs each")
	flag.IntVar(&o.backlog, "backlog", 100_000, "messages accepted during the outage; a twentieth for what fsyncs each")
	flag.DurationVar(&o.outage, "outage", 10*time.Second, "how long the hub is away")
	flag.StringVar(&o.out, "out", ".", "folder of RESULTS.md and results.svg")
	flag.Parse()
	var err1, err2 error
	o.only, err1 = regexp.Compile(*only)
	o.parts, err2 = regexp.Compile(*parts)
	if err := errors.Join(err1, err2); err != nil || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(o); err != nil {
		log.Fatal(err)
	}
}

func run(o options) error {
	dir, err := os.MkdirTemp("", "rmds-tools-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	log.Print("building")
	t, err := build(dir)
	if err != nil {
		return err
	}
	r, err := measure(o, t)
	if err != nil {
		return err
	}
	svg, err := os.Create(filepath.Join(o.out, "results.svg"))
	if err != nil {
		return err
	}
	err = errors.Join(r.plot(svg), svg.Close())
	md, cerr := os.Create(filepath.Join(o.out, "RESULTS.md"))
	if err := errors.Join(err, cerr); err != nil {
		return err
	}
	return errors.Join(r.markdown(md), md.Close())
}

// results are all outcomes, per system in its order.
type results struct {
	options    options
	systems    []system
	skipped    []string
	rates      map[string][]rates
	recovery   map[string][]recovery
	fanOut     map[string]map[int][][2]float64 // by readers: deliveries per second, microseconds of CPU per delivery
	traffic    map[string][]traffic
	footprints []footprint
	slowSyncs  map[string]syncs
	fastSyncs  map[string]syncs
	fleets     []fleet
}

// measure takes every part in turn, alternating systems within it.
func measure(o options, t tools) (*results, error) {
	r := &results{options: o, rates: map[string][]rates{}, recovery: map[string][]recovery{}, fanOut: map[string]map[int][][2]float64{},
		traffic: map[string][]traffic{}, slowSyncs: map[string]syncs{}, fastSyncs: map[string]syncs{}}
	for _, s := range systems {
		switch {
		case s.client == "mqtt" && t.mosquitto == "":
			r.skipped = append(r.skipped, s.name+": mosquitto is not installed (apt-get install mosquitto)")
		case o.only.MatchString(s.name):
			r.systems = append(r.systems, s)
		}
	}
	for _, part := range []struct {
		name   string
		rounds int
		f      func(system) error
	}{
		{"rates", o.rounds, func(s system) error { return keep(r.rates, s)(measureRates(t, s, o.messages)) }},
		{"recovery", max(1, o.rounds/2), func(s system) error {
			if !s.edge {
				return nil
			}
			return keep(r.recovery, s)(measureRecovery(t, s, o.backlog, o.outage))
		}},
		{"fanout", max(1, o.rounds/2), func(s system) error { return r.fan(t, s) }},
		{"traffic", 1, func(s system) error { return keep(r.traffic, s)(measureTraffic(t, s, o.messages/4)) }},
		{"syncs", 1, func(s system) error { return r.count(t, s) }},
	} {
		for i := range part.rounds {
			for _, s := range r.systems {
				if !o.parts.MatchString(part.name) {
					continue
				}
				begin := time.Now()
				if err := part.f(s); err != nil {
					return nil, fmt.Errorf("%s of %s: %w", part.name, s.name, err)
				}
				log.Printf("%s %d/%d: %s (%.1f s)", part.name, i+1, part.rounds, s.name, time.Since(begin).Seconds())
			}
		}
	}
	var err error
	for _, nodes := range []int{25, 100} {
		if o.parts.MatchString("fleet") {
			f, err := measureFleet(t, nodes, 20*time.Second, time.Minute)
			if err != nil {
				return nil, fmt.Errorf("fleet of %d: %w", nodes, err)
			}
			r.fleets = append(r.fleets, f)
			log.Printf("fleet of %d", nodes)
		}
	}
	if o.parts.MatchString("footprint") {
		r.footprints, err = measureFootprints(t, 10*time.Second)
	}
	return r, err
}

// keep returns a function that files an outcome under the system's name.
func keep[T any](m map[string][]T, s system) func(T, error) error {
	return func(v T, err error) error {
		if err == nil {
			m[s.name] = append(m[s.name], v)
		}
		return err
	}
}

func (r *results) fan(t tools, s system) error {
	if !s.readers {
		return nil
	}
	if r.fanOut[s.name] == nil {
		r.fanOut[s.name] = map[int][][2]float64{}
	}
	for _, readers := range []int{1, 10} {
		perSecond, cpu, err := measureFanOut(t, s, readers, r.options.messages/4)
		if err != nil {
			return err
		}
		r.fanOut[s.name][readers] = append(r.fanOut[s.name][readers], [2]float64{perSecond, cpu})
	}
	return nil
}

func (r *results) count(t tools, s system) (err error) {
	if !haveStrace() {
		r.skipped = append(r.skipped, "fsyncs of "+s.name+": strace is not installed")
		return nil
	}
	if r.slowSyncs[s.name], err = measureSyncs(t, s, 50, 10); err != nil {
		return err
	}
	r.fastSyncs[s.name], err = measureSyncs(t, s, r.options.messages/4, 0)
	return err
}
