package dispatcher

import "testing"

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{"1": 1, "1MiB": 1 << 20, "256 MiB": 256 << 20, "1kB": 1000, "1PiB": 1 << 50} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0", "-1", "x", "1XB", "2PiB"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("%q: %d", s, got)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for want, n := range map[string]int64{"0B": 0, "1000B": 1000, "1KiB": 1 << 10, "1536KiB": 3 << 19, "1MiB": 1 << 20, "256MiB": 256 << 20, "1TiB": 1 << 40, "2048PiB": 2 << 60} {
		got := FormatSize(n)
		if got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
