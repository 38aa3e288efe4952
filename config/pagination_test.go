package config

import (
	"testing"
)

func TestPageLimit(t *testing.T) {
	for n, want := range map[int]int{0: 100, 1: 1, 100: 100, 1000: 1000, 1001: -1, -1: -1} {
		got, err := PageLimit(n)
		if want == -1 && err == nil || want != -1 && got != want {
			t.Errorf("%d: %d, %v", n, got, err)
		}
	}
}
