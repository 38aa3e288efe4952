package keyauth

import (
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func TestOptions(t *testing.T) {
	if err := (Options{}).Validate(); err != nil {
		t.Error(err)
	}
	if got, want := *settingsOf(Options{}), (settings{cacheSize: 100_000, ttl: time.Minute, unknownBurst: 100, unknownRate: rate.Limit(1)}); got != want {
		t.Errorf("without options: %+v, want %+v", got, want)
	}
	for name, options := range map[string][]Options{
		"cache_size":        {{CacheSize: -1}},
		"cache_ttl":         {{CacheTTL: -time.Second}, {CacheTTL: time.Minute + 1}},
		"unknown_key_burst": {{UnknownKeyBurst: -1}},
		"unknown_key_rate":  {{UnknownKeyRate: -1}, {UnknownKeyRate: math.NaN()}, {UnknownKeyRate: math.Inf(1)}},
	} {
		for _, o := range options {
			if err := o.Validate(); err == nil || !strings.HasPrefix(err.Error(), name+" ") {
				t.Errorf("%+v: %v", o, err)
			}
		}
	}
	if got := settingsOf(Options{CacheTTL: time.Hour}).ttl; got != time.Minute { // whoever asks
		t.Errorf("a record would be trusted for %s", got)
	}
}
