package keyauth

import (
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func TestOptions(t *testing.T) {
	if err := Defaults().Validate(); err != nil {
		t.Error(err)
	}
	if got, want := *settingsOf(Defaults()), (settings{cacheSize: 100_000, ttl: time.Minute, unknownBurst: 100, unknownRate: rate.Limit(1)}); got != want {
		t.Errorf("defaults: %+v, want %+v", got, want)
	}
	for name, changes := range map[string][]func(o *Options){
		"cache_size": {
			func(o *Options) { o.CacheSize = -1 },
			func(o *Options) { o.CacheSize = 0 },
		},
		"cache_ttl": {
			func(o *Options) { o.CacheTTL = -time.Second },
			func(o *Options) { o.CacheTTL = 0 },
			func(o *Options) { o.CacheTTL = time.Minute + 1 },
		},
		"unknown_key_burst": {
			func(o *Options) { o.UnknownKeyBurst = -1 },
			func(o *Options) { o.UnknownKeyBurst = 0 },
		},
		"unknown_key_rate": {
			func(o *Options) { o.UnknownKeyRate = -1 },
			func(o *Options) { o.UnknownKeyRate = 0 },
			func(o *Options) { o.UnknownKeyRate = math.NaN() },
			func(o *Options) { o.UnknownKeyRate = math.Inf(1) },
		},
	} {
		for _, change := range changes {
			o := Defaults()
			change(&o)
			if err := o.Validate(); err == nil || !strings.HasPrefix(err.Error(), name+" ") {
				t.Errorf("%+v: %v", o, err)
			}
		}
	}
	if got := settingsOf(Options{CacheTTL: time.Hour}).ttl; got != time.Minute { // not validated
		t.Errorf("a record would be trusted for %s", got)
	}
}
